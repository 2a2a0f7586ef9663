// Products of activations with weights. x is a matrix [T, in] of T rows; a weight is [out, in] and acts as x·Wᵀ.

extension Tensor {
  /// y = x·Wᵀ (+ bias) for a frozen W [out, in]. Costs no weight gradient and keeps nothing but W.
  public func linear(_ weight: FrozenMatrix, bias: Tensor? = nil) -> Tensor {
    precondition(columns == weight.columns, "linear: \(columns) inputs for a weight of \(weight.columns)")
    let y = Tensor(uninitialized: shape.dropLast() + [weight.rows], scalar)
    let isDone = rows == 1 && scalar == .float32 && Vector.apply(weight, self, into: y)
    if !isDone { weight.multiply(self, into: y) }
    let result = y.recorded([self]) { [node] dy, gradients in
      gradients.into(node) { dx, accumulate in weight.multiplyTransposed(dy, into: dx, accumulate: accumulate) }
    }
    guard let bias else { return result }
    return result.addingRow(bias)
  }

  /// y = x·Wᵀ for a trained or otherwise differentiable W [out, in].
  public func linear(_ weight: Tensor, bias: Tensor? = nil) -> Tensor {
    let y = multiplied(byTransposeOf: weight)
    guard let bias else { return y }
    return y.addingRow(bias)
  }

  /// base + scale · x·Wᵀ, written into base's memory where nobody else holds it.
  public func linear(_ weight: Tensor, scale: Double, addedTo base: consuming Tensor) -> Tensor {
    precondition(
      columns == weight.columns && base.columns == weight.rows && base.rows == rows && scalar == weight.scalar
        && scalar == base.scalar, "product of \(shape) and the transpose of \(weight.shape), added to \(base.shape)")
    let baseNode = base.node
    base.node = nil
    var y = base
    if !y.isUnique { y = y.copied() }
    BLAS.multiply(
      scalar, rows, weight.rows, columns, alpha: scale, operand, weight.operand.transpose, beta: 1, into: y.address(),
      stride: weight.rows)
    return y.recorded(
      from: [node, weight.node, baseNode],
      Tensor.linearBackward(self, weight, scale) { gradients, dy in gradients.add(baseNode, dy) })
  }

  /// x·Wᵀ, scaled.
  public func multiplied(byTransposeOf weight: Tensor, scale: Double = 1) -> Tensor {
    precondition(
      columns == weight.columns && scalar == weight.scalar, "product of \(shape) and the transpose of \(weight.shape)")
    let y = Tensor(uninitialized: shape.dropLast() + [weight.rows], scalar)
    BLAS.multiply(
      scalar, rows, weight.rows, columns, alpha: scale, operand, weight.operand.transpose, into: y.address(),
      stride: weight.rows)
    return y.recorded([self, weight], Tensor.linearBackward(self, weight, scale) { _, _ in })
  }

  /// Gradients of scale · x·Wᵀ: dx = scale · dy·W, dW = scale · dyᵀ·x. Each operand is kept only if the other moves.
  private static func linearBackward(
    _ x: Tensor, _ weight: Tensor, _ scale: Double, _ also: @escaping (Gradients, Tensor) -> Void
  ) -> Node.Backward {
    let (xNode, wNode) = (x.node, weight.node)
    let keptX = wNode == nil ? nil : x.detached
    let keptW = xNode == nil ? nil : weight.detached
    return { dy, gradients in
      if let keptW {
        gradients.into(xNode) { dx, accumulate in
          BLAS.multiply(
            dy.scalar, dy.rows, keptW.columns, dy.columns, alpha: scale, dy.operand, keptW.operand, beta: accumulate ? 1 : 0,
            into: dx.address(), stride: keptW.columns)
        }
      }
      if let keptX {
        gradients.into(wNode) { dw, accumulate in
          BLAS.multiply(
            dy.scalar, dy.columns, keptX.columns, dy.rows, alpha: scale, dy.operand.transpose, keptX.operand,
            beta: accumulate ? 1 : 0, into: dw.address(), stride: keptX.columns)
        }
      }
      also(gradients, dy)
    }
  }

  /// A·B for matrices A [m, k], B [k, n].
  public func multiplied(by other: Tensor) -> Tensor {
    precondition(columns == other.rows && scalar == other.scalar, "product of \(shape) and \(other.shape)")
    let y = Tensor(uninitialized: shape.dropLast() + [other.columns], scalar)
    BLAS.multiply(scalar, rows, other.columns, columns, operand, other.operand, into: y.address(), stride: other.columns)
    let (aNode, bNode) = (node, other.node)
    let (a, b) = (bNode == nil ? nil : detached, aNode == nil ? nil : other.detached)
    return y.recorded([self, other]) { dy, gradients in
      if let b {
        gradients.into(aNode) { da, accumulate in
          BLAS.multiply(
            dy.scalar, dy.rows, b.rows, dy.columns, dy.operand, b.operand.transpose, beta: accumulate ? 1 : 0,
            into: da.address(), stride: b.rows)
        }
      }
      if let a {
        gradients.into(bNode) { db, accumulate in
          BLAS.multiply(
            dy.scalar, a.columns, dy.columns, a.rows, a.operand.transpose, dy.operand, beta: accumulate ? 1 : 0,
            into: db.address(), stride: dy.columns)
        }
      }
    }
  }

  /// Passes the value on unchanged and shows `observer` the gradient that comes back through it.
  ///
  /// With `x` the input of a map and this its output, that is the pair (x, dy) from which dyᵀ·x, the gradient of the
  /// map's weight, or any statistic of it, can be formed.
  public func observingGradient(_ observer: @escaping @Sendable (_ dy: Tensor) -> Void) -> Tensor {
    detached.recordedAlways([self]) { [node] dy, gradients in
      observer(dy)
      gradients.add(node, dy)
    }
  }

  /// The matrix view as an operand of a product.
  var operand: BLAS.Operand { BLAS.Operand(address: address(), stride: columns) }
}

extension BLAS.Operand {
  var transpose: BLAS.Operand { BLAS.Operand(address: address, stride: stride, transposed: !transposed) }
}

extension FrozenMatrix {
  /// y = x·Wᵀ.
  func multiply(_ x: Tensor, into y: Tensor) {
    let size = x.scalar.byteCount
    forEachTile(x.scalar) { lines, tile in
      if hasColumnLines {
        // Stored [in, out]: a tile holds some inputs and all outputs, so tiles add up.
        BLAS.multiply(
          x.scalar, x.rows, rows, lines.count, .init(address: x.address(lines.lowerBound), stride: columns),
          .init(address: tile, stride: rows), beta: lines.lowerBound == 0 ? 0 : 1, into: y.address(), stride: rows)
      } else {
        BLAS.multiply(
          x.scalar, x.rows, lines.count, columns, x.operand, .init(address: tile, stride: columns, transposed: true),
          into: y.address() + lines.lowerBound * size, stride: rows)
      }
    }
  }

  /// dx = dy·W, or added to dx.
  func multiplyTransposed(_ dy: Tensor, into dx: Tensor, accumulate: Bool) {
    let size = dy.scalar.byteCount
    forEachTile(dy.scalar) { lines, tile in
      if hasColumnLines {
        BLAS.multiply(
          dy.scalar, dy.rows, lines.count, rows, dy.operand, .init(address: tile, stride: rows, transposed: true),
          beta: accumulate ? 1 : 0, into: dx.address() + lines.lowerBound * size, stride: columns)
      } else {
        BLAS.multiply(
          dy.scalar, dy.rows, columns, lines.count, .init(address: dy.address(lines.lowerBound), stride: rows),
          .init(address: tile, stride: columns), beta: accumulate || lines.lowerBound > 0 ? 1 : 0, into: dx.address(),
          stride: columns)
      }
    }
  }
}
