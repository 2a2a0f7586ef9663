import CKernels

/// Places of a sparse matrix [outputs, inputs], in the order of its rows, and of columns within a row.
public struct SparsePlaces: Sendable {
  public let outputs: Int
  public let inputs: Int
  /// [2, count]: rows, then columns, as whole numbers.
  public let index: Tensor

  /// Nil where `index` is no list of distinct places of [outputs, inputs] in order.
  public init?(_ index: Tensor, outputs: Int, inputs: Int) {
    guard index.rank == 2, index.shape[0] == 2, Self.fits(index, outputs, inputs) else { return nil }
    self.outputs = outputs
    self.inputs = inputs
    self.index = index.detached
  }

  public var count: Int { index.columns }

  /// The same places as numbers of another scalar.
  func converted(to scalar: ScalarType) -> Tensor { index.converted(to: scalar) }

  private static func fits(_ index: Tensor, _ outputs: Int, _ inputs: Int) -> Bool {
    let count = index.columns
    switch index.scalar {
    case .float32: return entries_fit_f32(index.f32, index.f32 + count, count, outputs, inputs) == 1
    case .float64: return entries_fit_f64(index.f64, index.f64 + count, count, outputs, inputs) == 1
    }
  }
}

/// Products with a sparse matrix F of given places. Tokens are taken in tiles of 32, in which they lie side by side: an entry
/// then is one product of a number and a short vector, and count multiplications a token are all that is done.
private struct SparseProduct {
  let places: Tensor
  let values: Tensor
  let scale: Double
  let outputs: Int
  let inputs: Int

  private static let tile = 32
  /// Below so many tokens a tile would be mostly empty.
  private static let fewest = 8

  private var count: Int { values.count }

  /// y += scale · z·Fᵀ.
  func add(to y: Tensor, _ z: Tensor) {
    let width = Self.tile
    guard z.rows >= Self.fewest else {
      return Threads.split(z.rows, cost: 2 * count) { r in for t in r { addRow(to: y, z, t) } }
    }
    Threads.each((z.rows + width - 1) / width) { part in
      let (start, rows) = (part * width, min(width, z.rows - part * width))
      let (zTile, yTile) = (tile(z, start, rows), tile(y, start, rows))
      switch z.scalar {
      case .float32:
        entries_acc_f32(yTile.f32, values.f32, places.f32, places.f32 + count, Float(scale), zTile.f32, count)
        from_tile_f32(y.f32 + start * outputs, 0, yTile.f32, rows, outputs)
      case .float64:
        entries_acc_f64(yTile.f64, values.f64, places.f64, places.f64 + count, scale, zTile.f64, count)
        from_tile_f64(y.f64 + start * outputs, 0, yTile.f64, rows, outputs)
      }
    }
  }

  private func addRow(to y: Tensor, _ z: Tensor, _ t: Int) {
    let (o, i) = (t * outputs, t * inputs)
    switch z.scalar {
    case .float32:
      entries_row_acc_f32(y.f32 + o, values.f32, places.f32, places.f32 + count, Float(scale), z.f32 + i, count)
    case .float64: entries_row_acc_f64(y.f64 + o, values.f64, places.f64, places.f64 + count, scale, z.f64 + i, count)
    }
  }

  /// dz += scale · dy·F and dθ_l += scale · Σ_t dy[t, i_l]·z[t, j_l], each where it is wanted; z may be left out without dθ.
  func addGradients(dz: Tensor?, dTheta: Tensor?, _ dy: Tensor, _ z: Tensor?) {
    guard dy.rows >= Self.fewest else {
      for t in 0..<dy.rows { addRowGradients(dz, dTheta, dy, z, t) }
      return
    }
    // Entries by column make dy·F a sum into one place after another, as z·Fᵀ is with entries by row.
    if let dz { transposed.add(to: dz, dy) }
    guard let dTheta, let z else { return }
    let width = Self.tile
    let tiles = (dy.rows + width - 1) / width
    // Tiles share their sums in groups that follow from the shape alone, so that results do not depend on cores.
    let groups = min(8, tiles)
    let sums = Tensor.zeros([groups, count], dy.scalar)
    Threads.each(groups) { group in
      for part in stride(from: group, to: tiles, by: groups) {
        let (start, rows) = (part * width, min(width, dy.rows - part * width))
        let (dyTile, zTile, at) = (tile(dy, start, rows), tile(z, start, rows), group * count)
        switch dy.scalar {
        case .float32:
          entries_gradient_acc_f32(sums.f32 + at, places.f32, places.f32 + count, Float(scale), dyTile.f32, zTile.f32, count)
        case .float64:
          entries_gradient_acc_f64(sums.f64 + at, places.f64, places.f64 + count, scale, dyTile.f64, zTile.f64, count)
        }
      }
    }
    for group in 0..<groups { Elementwise.accumulate(dTheta, sums.view(group * count, [count])) }
  }

  /// Fᵀ.
  private var transposed: SparseProduct {
    let theta = Tensor(uninitialized: [count], values.scalar)
    let turned = Tensor(uninitialized: [2, count], values.scalar)
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: inputs) { next in
      switch values.scalar {
      case .float32:
        entries_transposed_f32(
          theta.f32, turned.f32 + count, turned.f32, values.f32, places.f32, places.f32 + count, next.baseAddress, count, inputs)
      case .float64:
        entries_transposed_f64(
          theta.f64, turned.f64 + count, turned.f64, values.f64, places.f64, places.f64 + count, next.baseAddress, count, inputs)
      }
    }
    return SparseProduct(places: turned, values: theta, scale: scale, outputs: inputs, inputs: outputs)
  }

  private func addRowGradients(_ dz: Tensor?, _ dTheta: Tensor?, _ dy: Tensor, _ z: Tensor?, _ t: Int) {
    let (o, i) = (t * outputs, t * inputs)
    switch dy.scalar {
    case .float32:
      entries_row_backward_acc_f32(
        dz.map { $0.f32 + i }, dTheta?.f32, values.f32, places.f32, places.f32 + count, Float(scale), dy.f32 + o,
        z.map { $0.f32 + i }, count)
    case .float64:
      entries_row_backward_acc_f64(
        dz.map { $0.f64 + i }, dTheta?.f64, values.f64, places.f64, places.f64 + count, scale, dy.f64 + o,
        z.map { $0.f64 + i }, count)
    }
  }

  /// Tokens start..<start + rows of x, side by side.
  private func tile(_ x: Tensor, _ start: Int, _ rows: Int) -> Tensor {
    let tile = Tensor(uninitialized: [x.columns, Self.tile], x.scalar)
    switch x.scalar {
    case .float32: to_tile_f32(tile.f32, x.f32 + start * x.columns, rows, x.columns)
    case .float64: to_tile_f64(tile.f64, x.f64 + start * x.columns, rows, x.columns)
    }
    return tile
  }
}

extension Tensor {
  /// base + scale · z·Fᵀ for z [T, inputs] and F with `values` [count] at `places`, in base's memory where nobody else
  /// holds it: y[t, i_l] += scale · θ_l · z[t, j_l].
  ///
  /// The gradient of the values is sampled, dθ_l = scale · Σ_t dy[t, i_l]·z[t, j_l]; a dense dyᵀ·z is never formed.
  public func sparse(_ values: Tensor, at places: SparsePlaces, scale: Double = 1, addedTo base: consuming Tensor) -> Tensor {
    precondition(
      columns == places.inputs && base.columns == places.outputs && base.rows == rows && values.count == places.count
        && scalar == values.scalar && scalar == base.scalar,
      "\(values.shape) entries of [\(places.outputs), \(places.inputs)] for \(shape), added to \(base.shape)")
    let baseNode = base.node
    base.node = nil
    var y = base
    if !y.isUnique { y = y.copied() }
    let product = SparseProduct(
      places: places.converted(to: scalar), values: values.detached, scale: scale, outputs: places.outputs,
      inputs: places.inputs)
    product.add(to: y, self)
    let kept = values.hasHistory ? detached : nil
    return y.recorded(from: [node, values.node, baseNode]) { [node, valuesNode = values.node] dy, gradients in
      gradients.collect(node) { dz in
        gradients.collect(kept == nil ? nil : valuesNode) { dTheta in
          product.addGradients(dz: dz, dTheta: dTheta, dy, kept)
        }
      }
      gradients.add(baseNode, dy)
    }
  }

  /// F [outputs, inputs] with these values [count] at `places`, zeros elsewhere, scaled. Differentiable in the values.
  public func scattered(at places: SparsePlaces, scale: Double = 1) -> Tensor {
    precondition(count == places.count, "\(shape) entries for \(places.count) places")
    let index = places.converted(to: .float64)
    let flat = (0..<count).map { Int(index.f64[$0]) * places.inputs + Int(index.f64[count + $0]) }
    let matrix = Tensor.zeros([places.outputs, places.inputs], scalar)
    for (l, place) in flat.enumerated() {
      switch scalar {
      case .float32: matrix.f32[place] = Float(scale) * f32[l]
      case .float64: matrix.f64[place] = scale * f64[l]
      }
    }
    return matrix.recorded([self]) { [node] dy, gradients in
      let slopes = Tensor(uninitialized: [flat.count], dy.scalar)
      for (l, place) in flat.enumerated() {
        switch dy.scalar {
        case .float32: slopes.f32[l] = Float(scale) * dy.f32[place]
        case .float64: slopes.f64[l] = scale * dy.f64[place]
        }
      }
      gradients.add(node, slopes)
    }
  }
}

extension Gradients {
  /// Calls `body` with the gradient of `node` as it stands, zeros at first, to add to; with nil where there is no node.
  fileprivate func collect(_ node: Node?, _ body: (Tensor?) -> Void) {
    guard node != nil else { return body(nil) }
    into(node) { gradient, accumulate in
      if !accumulate { gradient.fill(0) }
      body(gradient)
    }
  }
}
