import CKernels

/// A periodised orthogonal wavelet transform of rows [n], over several levels.
///
/// With N = 2^J·⌈n/2^J⌉, S₀ the identity of size N, and low- and high-pass L and H of one level,
///
///     D_j = H·S_{j−1},   S_j = L·S_{j−1},   j = 1…J,
///
/// the details D_1 … D_J and the approximation S_J, each with N/2^j rows, are together an orthogonal matrix of size N. Rows
/// shorter than N are taken as continued by zeros; the adjoint cuts them off again.
public struct WaveletTransform: Sendable, Hashable {
  /// Which parts of a row a transform hands over.
  public enum Parts: Sendable, Hashable {
    /// D_1 | D_2 | … | D_J | S_J: N numbers, as many as there are.
    case basis
    /// D_1 | S_1 | D_2 | S_2 | … | D_J | S_J: every approximation on the way as well.
    case pyramid
  }

  public struct Band: Sendable, Hashable {
    public enum Kind: Sendable, Hashable { case detail, approximation }

    public var kind: Kind
    /// 1…J.
    public var level: Int

    public static func detail(_ level: Int) -> Band { Band(kind: .detail, level: level) }
    public static func approximation(_ level: Int) -> Band { Band(kind: .approximation, level: level) }
  }

  /// h, the low-pass filter of reconstruction; the high-pass is g_m = (−1)^m·h_{F−1−m}.
  public let filter: [Double]
  /// J.
  public let levels: Int
  public let parts: Parts
  /// Equal for equal transforms.
  public let name: String

  /// Filters have an even number of taps, at most 64.
  public init(filter: [Double], levels: Int, parts: Parts = .basis) {
    precondition(filter.count % 2 == 0 && (2...64).contains(filter.count), "a wavelet filter of \(filter.count) taps")
    precondition((1...62).contains(levels), "\(levels) wavelet levels")
    self.filter = filter
    self.levels = levels
    self.parts = parts
    name = "\(parts) \(levels) \(filter)"
  }

  /// N, the length of a row with its zeros.
  public func padded(_ n: Int) -> Int {
    let unit = 1 << levels
    return (n + unit - 1) / unit * unit
  }

  /// How many numbers a row of n becomes.
  public func width(_ n: Int) -> Int { columns(of: .approximation(levels), in: n).upperBound }

  /// Where a band of a row of n stands among them. Of the basis, S_J alone is an approximation that it has.
  public func columns(of band: Band, in n: Int) -> Range<Int> {
    precondition((1...levels).contains(band.level), "level \(band.level) of \(levels)")
    precondition(band.kind == .detail || parts == .pyramid || band.level == levels, "the basis has no S_\(band.level)")
    let whole = padded(n)
    let length = whole >> band.level
    let before = (whole - 2 * length) * (parts == .pyramid ? 2 : 1)
    let start = before + (band.kind == .approximation ? length : 0)
    return start..<start + length
  }
}

extension Tensor {
  /// The bands of each row: [T, n] → [T, transform.width(n)].
  public func waveletAnalysis(_ transform: WaveletTransform) -> Tensor {
    let y = Tensor(uninitialized: shape.dropLast() + [transform.width(columns)], scalar)
    transform.analyse(self, into: y)
    return y.recorded([self]) { [node] dy, gradients in
      gradients.into(node) { dx, accumulate in transform.synthesise(dy, into: dx, accumulate: accumulate) }
    }
  }

  /// The adjoint: bands [T, transform.width(n)] → [T, n]. Of the basis it is the inverse, cut to n.
  public func waveletSynthesis(_ transform: WaveletTransform, count n: Int) -> Tensor {
    let y = Tensor(uninitialized: shape.dropLast() + [n], scalar)
    transform.synthesise(self, into: y, accumulate: false)
    return y.recorded([self]) { [node] dy, gradients in transform.addAnalysis(of: dy, to: node, gradients) }
  }

  /// base + the rows that these bands are the bands of, written into base's memory where nobody else holds it.
  public func waveletSynthesis(_ transform: WaveletTransform, addedTo base: consuming Tensor) -> Tensor {
    precondition(base.rows == rows && base.scalar == scalar, "bands \(shape) added to \(base.shape)")
    let baseNode = base.node
    base.node = nil
    var y = base
    if !y.isUnique { y = y.copied() }
    transform.synthesise(self, into: y, accumulate: true)
    return y.recorded(from: [node, baseNode]) { [node] dy, gradients in
      transform.addAnalysis(of: dy, to: node, gradients)
      gradients.add(baseNode, dy)
    }
  }
}

extension WaveletTransform {
  fileprivate func addAnalysis(of dy: Tensor, to node: Node?, _ gradients: Gradients) {
    guard let node else { return }
    let dx = Tensor(uninitialized: node.shape, dy.scalar)
    analyse(dy, into: dx)
    gradients.add(node, dx)
  }

  /// Where level j reads and writes: its approximation stands in the row where the row has it, else in scratch memory,
  /// of which a level reads one half and writes the other.
  private func place(_ level: Int, _ row: UnsafeMutableRawPointer, _ scratch: UnsafeMutableRawPointer, _ n: Int, _ size: Int)
    -> UnsafeMutableRawPointer
  {
    if level == levels || parts == .pyramid {
      return row + columns(of: .approximation(level), in: n).lowerBound * size
    }
    return scratch + (level % 2) * (padded(n) / 2) * size
  }

  fileprivate func analyse(_ x: Tensor, into y: Tensor) {
    let (n, size, h) = (x.columns, x.scalar.byteCount, Tensor(filter, x.scalar))
    forEachRow(x, n) { t, rows, scratch in
      let row = y.address(t * y.columns)
      for level in 1...levels {
        let source = level == 1 ? x.address(t * n) : place(level - 1, row, scratch, n, size)
        let high = row + columns(of: .detail(level), in: n).lowerBound * size
        let half = padded(n) >> level
        Self.split(
          h, low: place(level, row, scratch, n, size), high: high, source, rows, half, level == 1 ? n : 2 * half, y.columns, n)
      }
    }
  }

  fileprivate func synthesise(_ bands: Tensor, into x: Tensor, accumulate: Bool) {
    let (n, size, h) = (x.columns, x.scalar.byteCount, Tensor(filter, x.scalar))
    precondition(bands.columns == width(n) && bands.rows == x.rows, "bands \(bands.shape) of rows \(x.shape)")
    forEachRow(x, n) { t, rows, scratch in
      let row = bands.address(t * bands.columns)
      var low = place(levels, row, scratch, n, size)
      for level in stride(from: levels, through: 1, by: -1) {
        let half = padded(n) >> level
        let high = row + columns(of: .detail(level), in: n).lowerBound * size
        guard level > 1 else {
          Self.join(h, x.address(t * n), accumulate, low: low, high: high, rows, half, n, n, bands.columns)
          return
        }
        let target = scratch + ((level - 1) % 2) * (padded(n) / 2) * size
        // The pyramid's own S_{j−1} comes on top of what S_j and D_j make of it; the row itself is only read.
        if parts == .pyramid {
          target.copyMemory(
            from: row + columns(of: .approximation(level - 1), in: n).lowerBound * size, byteCount: 2 * half * size)
        }
        Self.join(h, target, parts == .pyramid, low: low, high: high, 1, half, 2 * half, 2 * half, bands.columns)
        low = target
      }
    }
  }

  /// Calls `body` with a first row, how many rows from it on, and scratch memory for N numbers: all rows of a core at once
  /// where there is one level, else row by row, so that what a level leaves to the next stays in the first cache.
  private func forEachRow(_ x: Tensor, _ n: Int, _ body: (Int, Int, UnsafeMutableRawPointer) -> Void) {
    guard n > 0 else { return }
    Threads.split(x.rows, cost: n * filter.count / 2) { range in
      let scratch = Tensor(uninitialized: [levels > 1 ? padded(n) : 0], x.scalar)
      if levels == 1 { return body(range.lowerBound, range.count, scratch.address()) }
      for t in range { body(t, 1, scratch.address()) }
    }
  }

  private static func split(
    _ h: Tensor, low: UnsafeMutableRawPointer, high: UnsafeMutableRawPointer, _ x: UnsafeMutableRawPointer, _ rows: Int,
    _ half: Int, _ cols: Int, _ strideBands: Int, _ strideX: Int
  ) {
    switch h.scalar {
    case .float32:
      wavelet_split_f32(
        low.assumingMemoryBound(to: Float.self), high.assumingMemoryBound(to: Float.self),
        x.assumingMemoryBound(to: Float.self), h.f32, h.count, rows, half, cols, strideBands, strideX)
    case .float64:
      wavelet_split_f64(
        low.assumingMemoryBound(to: Double.self), high.assumingMemoryBound(to: Double.self),
        x.assumingMemoryBound(to: Double.self), h.f64, h.count, rows, half, cols, strideBands, strideX)
    }
  }

  private static func join(
    _ h: Tensor, _ x: UnsafeMutableRawPointer, _ accumulate: Bool, low: UnsafeMutableRawPointer,
    high: UnsafeMutableRawPointer, _ rows: Int, _ half: Int, _ cols: Int, _ strideX: Int, _ strideBands: Int
  ) {
    switch h.scalar {
    case .float32:
      wavelet_join_f32(
        x.assumingMemoryBound(to: Float.self), accumulate ? 1 : 0, low.assumingMemoryBound(to: Float.self),
        high.assumingMemoryBound(to: Float.self), h.f32, h.count, rows, half, cols, strideX, strideBands)
    case .float64:
      wavelet_join_f64(
        x.assumingMemoryBound(to: Double.self), accumulate ? 1 : 0, low.assumingMemoryBound(to: Double.self),
        high.assumingMemoryBound(to: Double.self), h.f64, h.count, rows, half, cols, strideX, strideBands)
    }
  }
}
