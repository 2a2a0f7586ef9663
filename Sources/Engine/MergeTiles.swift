import CKernels

/// A merge in the form its loops read, tile by tile: a tile is some rows of all columns.
struct MergeTiles {
  let merge: KernelMerge
  let base: (@Sendable (Range<Int>) -> Tensor)?
  private let points: Points
  private let gatePoints: Points?

  /// Both factors of one merge; A transposed to [2, q, stride], so that loops run over columns.
  ///
  /// Rows are some numbers longer than the inputs: at a distance of a power of two, all q would fall into one place of the cache.
  struct Points {
    let a: Tensor
    let b: Tensor
    let scale: Double
    let inputs: Int

    init(a: Tensor, b: Tensor, scale: Double) {
      let (inputs, q) = (a.shape[1], a.columns)
      let planes = (0..<2).map { half in
        Tensor.joinedColumns([a.detached.view(half * inputs * q, [inputs, q]).transposed, .zeros([q, 16], a.scalar)])
      }
      self.a = Tensor.joinedRows(planes).reshaped([2, q, inputs + 16])
      self.inputs = inputs
      self.b = b.detached
      self.scale = scale
    }

    var stride: Int { a.columns }
    var outputs: Int { b.shape[1] }
    var q: Int { b.columns }

    /// Rows `rows` of D, on all cores.
    func fill(_ tile: Tensor, _ rows: Range<Int>) {
      Threads.split(rows.count, cost: inputs * (q + 4) / 4) { part in
        write(part.lowerBound + rows.lowerBound..<part.upperBound + rows.lowerBound, to: tile, at: part.lowerBound)
      }
    }

    /// Rows `rows` of D, from row `place` of the tile on.
    func write(_ rows: Range<Int>, to tile: Tensor, at place: Int = 0) {
      let (plane, start) = (q * stride, place * inputs)
      let (b0, b1) = (rows.lowerBound * q, (outputs + rows.lowerBound) * q)
      switch tile.scalar {
      case .float32:
        merge_f32(
          tile.f32 + start, a.f32, a.f32 + plane, b.f32 + b0, b.f32 + b1, Float(scale), rows.count, inputs, q, inputs,
          stride)
      case .float64:
        merge_f64(
          tile.f64 + start, a.f64, a.f64 + plane, b.f64 + b0, b.f64 + b1, scale, rows.count, inputs, q, inputs, stride)
      }
    }
  }

  init(_ merge: KernelMerge, over base: (@Sendable (Range<Int>) -> Tensor)? = nil) {
    self.merge = merge
    self.base = base
    points = Points(a: merge.a, b: merge.b, scale: merge.scale)
    // The same memory, the same D.
    gatePoints = merge.gate.flatMap { gate in
      gate.a.isSame(as: merge.a.detached) && gate.b.isSame(as: merge.b.detached)
        ? nil : Points(a: gate.a, b: gate.b, scale: merge.scale)
    }
  }

  /// The rows of each tile: about a megabyte, and enough of them for a product.
  var rows: [Range<Int>] {
    let height = max(64, (1 << 20) / (merge.inputs * merge.a.scalar.byteCount) / 16 * 16)
    return stride(from: 0, to: merge.outputs, by: height).map { $0..<min(merge.outputs, $0 + height) }
  }

  /// Rows `rows` of M.
  func fill(_ tile: Tensor, _ rows: Range<Int>) {
    points.fill(tile, rows)
    guard merge.gate != nil else { return }
    gate(tile, by: gateTile(tile, rows))
  }

  /// D as the gate sees it, for a tile of D.
  private func gateTile(_ tile: Tensor, _ rows: Range<Int>) -> Tensor {
    guard let gatePoints else { return tile }
    let seen = Tensor(uninitialized: tile.shape, tile.scalar)
    gatePoints.fill(seen, rows)
    return seen
  }

  /// values ∘ gate(D), in place.
  private func gate(_ values: Tensor, by d: Tensor) {
    guard let gate = merge.gate else { return }
    Threads.split(values.count, cost: 1) { r in
      let i = r.lowerBound
      switch values.scalar {
      case .float32:
        merge_gate_f32(values.f32 + i, values.f32 + i, d.f32 + i, gate.threshold.roundedDown, gate.isSoft ? 1 : 0, r.count)
      case .float64:
        merge_gate_f64(values.f64 + i, values.f64 + i, d.f64 + i, gate.threshold, gate.isSoft ? 1 : 0, r.count)
      }
    }
  }

  /// Rows `rows` of M, or of W + M.
  private func summed(_ rows: Range<Int>) -> Tensor {
    let tile = Tensor(uninitialized: [rows.count, merge.inputs], merge.a.scalar)
    fill(tile, rows)
    if let base { Elementwise.accumulate(tile, base(rows)) }
    return tile
  }

  /// y ← x·(W + M)ᵀ + beta·y.
  func multiply(_ x: Tensor, into y: Tensor, beta: Double) {
    precondition(x.columns == merge.inputs && x.scalar == merge.a.scalar, "a merge of \(merge.inputs) inputs for \(x.shape)")
    for rows in rows {
      let tile = summed(rows)
      BLAS.multiply(
        x.scalar, x.rows, rows.count, x.columns, x.operand, tile.operand.transpose, beta: beta,
        into: y.address(rows.lowerBound), stride: merge.outputs)
    }
  }

  /// What dy makes of the input, dx = dy·(W + M), and of A and B.
  func differentiate(_ x: Tensor, _ dy: Tensor, wantsInput: Bool, wantsFactors: Bool) -> (
    dx: Tensor?, factors: (a: Tensor, b: Tensor)?
  ) {
    let dx = wantsInput ? Tensor(uninitialized: x.shape, x.scalar) : nil
    let gradient = wantsFactors ? FactorGradient(points) : nil
    for rows in rows {
      let part = BLAS.Operand(address: dy.address(rows.lowerBound), stride: merge.outputs)
      if let gradient { gradient.add(slope(x, part, rows), rows) }
      guard let dx else { continue }
      let tile = summed(rows)
      BLAS.multiply(
        x.scalar, x.rows, x.columns, rows.count, part, tile.operand, beta: rows.lowerBound == 0 ? 0 : 1, into: dx.address(),
        stride: x.columns)
    }
    return (dx, gradient.map { ($0.a, $0.b) })
  }

  /// Rows `rows` of ∂/∂D = dyᵀ·x ∘ gate, with `part` their columns of dy.
  private func slope(_ x: Tensor, _ part: BLAS.Operand, _ rows: Range<Int>) -> Tensor {
    let slope = Tensor(uninitialized: [rows.count, merge.inputs], x.scalar)
    BLAS.multiply(x.scalar, rows.count, x.columns, x.rows, part.transpose, x.operand, into: slope.address(), stride: x.columns)
    guard merge.gate != nil else { return slope }
    let d = Tensor(uninitialized: slope.shape, x.scalar)
    (gatePoints ?? points).fill(d, rows)
    gate(slope, by: d)
    return slope
  }
}

/// The gradients of A and B, added up over tiles of ∂/∂D.
private struct FactorGradient {
  private let points: MergeTiles.Points
  /// [2, q, stride].
  private let da: Tensor
  private let db: Tensor
  /// Columns that one core takes at a time: sums come out differently in pieces of another size.
  private static let share = 512

  init(_ points: MergeTiles.Points) {
    self.points = points
    da = .zeros(points.a.shape, points.a.scalar)
    db = .zeros(points.b.shape, points.b.scalar)
  }

  func add(_ slope: Tensor, _ rows: Range<Int>) {
    let (inputs, q) = (points.inputs, points.q)
    let pieces = (inputs + Self.share - 1) / Self.share
    // Every piece of columns has a dB of its own; they are added in order.
    let parts = Tensor.zeros([pieces, 2, rows.count, q], slope.scalar)
    Threads.each(pieces, width: slope.count * q < 4 * Threads.grain ? 1 : Threads.count) { piece in
      let (i, width) = (piece * Self.share, min(Self.share, inputs - piece * Self.share))
      let (plane, b0, b1) = (q * points.stride, rows.lowerBound * q, (points.outputs + rows.lowerBound) * q)
      let (p0, p1) = (piece * 2 * rows.count * q, (piece * 2 + 1) * rows.count * q)
      switch slope.scalar {
      case .float32:
        merge_backward_acc_f32(
          da.f32 + i, da.f32 + plane + i, parts.f32 + p0, parts.f32 + p1, slope.f32 + i, points.a.f32 + i,
          points.a.f32 + plane + i, points.b.f32 + b0, points.b.f32 + b1, Float(points.scale), rows.count, width, q, inputs,
          points.stride)
      case .float64:
        merge_backward_acc_f64(
          da.f64 + i, da.f64 + plane + i, parts.f64 + p0, parts.f64 + p1, slope.f64 + i, points.a.f64 + i,
          points.a.f64 + plane + i, points.b.f64 + b0, points.b.f64 + b1, points.scale, rows.count, width, q, inputs,
          points.stride)
      }
    }
    for piece in 0..<pieces {
      for half in 0..<2 {
        let sum = db.view((half * points.outputs + rows.lowerBound) * q, [rows.count, q])
        Elementwise.accumulate(sum, parts.view((piece * 2 + half) * rows.count * q, [rows.count, q]))
      }
    }
  }

  var a: Tensor {
    let (inputs, q) = (points.inputs, points.q)
    let planes = (0..<2).map { half in
      da.view(half * q * points.stride, [q, points.stride]).slice(columns: 0..<inputs).transposed
    }
    return Tensor.joinedRows(planes).reshaped([2, inputs, q])
  }

  var b: Tensor { db }
}

extension Double {
  /// As a float that is not above it: rounded up, a threshold would shut out the entry next to it.
  fileprivate var roundedDown: Float {
    let nearest = Float(self)
    return Double(nearest) > self ? nearest.nextDown : nearest
  }
}
