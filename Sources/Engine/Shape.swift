import CKernels

extension Tensor {
  /// The same elements in another shape, sharing memory.
  public func reshaped(_ shape: [Int]) -> Tensor {
    precondition(shape.reduce(1, *) == count, "\(self.shape) does not reshape to \(shape)")
    let view = Tensor(shape: shape, scalar: scalar, storage: storage, offset: offset)
    return view.recorded([self]) { [node] dy, gradients in gradients.add(node, dy) }
  }

  /// Entries `range` of the first axis, sharing memory.
  public func slice(rows range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
    let stride = shape.dropFirst().reduce(1, *)
    let view = Tensor(
      shape: [range.count] + shape.dropFirst(), scalar: scalar, storage: storage, offset: offset + range.lowerBound * stride)
    return view.recorded([self]) { [node] dy, gradients in
      gradients.into(node) { dx, accumulate in
        if !accumulate { dx.fill(0) }
        Elementwise.accumulate(dx.view(range.lowerBound * stride, dy.shape), dy)
      }
    }
  }

  /// Columns `range` of the matrix view, copied.
  public func slice(columns range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns \(range) of \(shape)")
    let y = Tensor(uninitialized: shape.dropLast() + [range.count], scalar)
    y.copyColumns(0, from: self, range.lowerBound, range.count)
    return y.recorded([self]) { [node] dy, gradients in
      gradients.into(node) { dx, accumulate in
        if !accumulate { dx.fill(0) }
        dx.addColumns(range.lowerBound, from: dy)
      }
    }
  }

  /// base with this matrix [T, w] added to its columns from `start` on, in base's memory where nobody else holds it.
  public func added(toColumnsFrom start: Int, of base: consuming Tensor) -> Tensor {
    precondition(
      start >= 0 && start + columns <= base.columns && rows == base.rows && scalar == base.scalar,
      "\(shape) added to columns of \(base.shape) from \(start) on")
    let baseNode = base.node
    base.node = nil
    var y = base
    if !y.isUnique { y = y.copied() }
    y.addColumns(start, from: self)
    return y.recorded(from: [node, baseNode]) { [node, width = columns] dy, gradients in
      gradients.add(node, dy.detached.slice(columns: start..<start + width))
      gradients.add(baseNode, dy)
    }
  }

  /// Matrices side by side: [T, a], [T, b], … → [T, a + b + …].
  public static func joinedColumns(_ parts: [Tensor]) -> Tensor {
    let width = parts.reduce(0) { $0 + $1.columns }
    let y = Tensor(uninitialized: parts[0].shape.dropLast() + [width], parts[0].scalar)
    var starts: [Int] = []
    var at = 0
    for part in parts {
      precondition(part.rows == y.rows && part.scalar == y.scalar, "joining rows \(part.rows) and \(y.rows)")
      y.copyColumns(at, from: part, 0, part.columns)
      starts.append(at)
      at += part.columns
    }
    let targets = zip(parts, starts).map { ($0.node, $1, $0.columns) }
    return y.recorded(parts) { dy, gradients in
      for (node, start, width) in targets where node != nil {
        gradients.add(node, dy.detached.slice(columns: start..<start + width))
      }
    }
  }

  /// Tensors on top of each other along the first axis.
  public static func joinedRows(_ parts: [Tensor]) -> Tensor {
    let height = parts.reduce(0) { $0 + $1.shape[0] }
    let y = Tensor(uninitialized: [height] + parts[0].shape.dropFirst(), parts[0].scalar)
    let stride = y.shape.dropFirst().reduce(1, *)
    var at = 0
    var targets: [(Node?, Range<Int>)] = []
    for part in parts {
      y.address(at * stride).copyMemory(from: part.address(), byteCount: part.count * part.scalar.byteCount)
      targets.append((part.node, at..<at + part.shape[0]))
      at += part.shape[0]
    }
    return y.recorded(parts) { dy, gradients in
      for (node, range) in targets where node != nil { gradients.add(node, dy.detached.slice(rows: range)) }
    }
  }

  /// The transpose of a matrix.
  public var transposed: Tensor {
    precondition(rank == 2, "transpose of shape \(shape)")
    let (m, n) = (shape[0], shape[1])
    let y = Tensor(uninitialized: [n, m], scalar)
    switch scalar {
    case .float32: Self.transpose(f32, into: y.f32, m, n)
    case .float64: Self.transpose(f64, into: y.f64, m, n)
    }
    return y.recorded([self]) { [node] dy, gradients in gradients.add(node, dy.detached.transposed) }
  }

  /// y [n, m] of x [m, n].
  private static func transpose<T>(_ x: UnsafeMutablePointer<T>, into y: UnsafeMutablePointer<T>, _ m: Int, _ n: Int) {
    // Blocks keep both sides in the cache.
    let side = 32
    Threads.split((n + side - 1) / side, cost: side * m) { blocks in
      for j0 in stride(from: blocks.lowerBound * side, to: min(n, blocks.upperBound * side), by: side) {
        let end = min(n, j0 + side)
        for i0 in stride(from: 0, to: m, by: side) {
          let rows = min(m, i0 + side)
          for j in j0..<end {
            for i in i0..<rows { y[j * m + i] = x[i * n + j] }
          }
        }
      }
    }
  }

  /// A view into the same memory, without history.
  func view(_ start: Int, _ shape: [Int]) -> Tensor {
    Tensor(shape: shape, scalar: scalar, storage: storage, offset: offset + start)
  }

  private func copyColumns(_ start: Int, from other: Tensor, _ otherStart: Int, _ width: Int) {
    let size = scalar.byteCount
    for t in 0..<rows {
      address(t * columns + start).copyMemory(
        from: other.address(t * other.columns + otherStart), byteCount: width * size)
    }
  }

  private func addColumns(_ start: Int, from other: Tensor) {
    Threads.split(other.rows, cost: other.columns) { range in
      for t in range {
        let (sum, value) = (t * columns + start, t * other.columns)
        switch scalar {
        case .float32: axpy_f32(f32 + sum, 1, other.f32 + value, other.columns)
        case .float64: axpy_f64(f64 + sum, 1, other.f64 + value, other.columns)
        }
      }
    }
  }
}
