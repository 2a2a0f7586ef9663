/// A matrix [rows, columns] that is made of other tensors, a block of rows at a time, whenever a product needs it.
///
/// What it is made of is a good deal smaller than itself: products keep the parts, never the whole.
public struct MadeRows: Sendable {
  public let rows: Int
  public let columns: Int
  /// Together 0..<rows, in order.
  public let blocks: [Range<Int>]
  /// Rows of a block [count, columns] from the parts, by differentiable operations.
  let make: @Sendable (_ block: Range<Int>, _ parts: [Tensor]) -> Tensor

  public init(
    columns: Int, blocks: [Range<Int>], make: @escaping @Sendable (_ block: Range<Int>, _ parts: [Tensor]) -> Tensor
  ) {
    self.rows = blocks.last?.upperBound ?? 0
    self.columns = columns
    self.blocks = blocks
    self.make = make
  }

  /// The whole matrix.
  public func dense(of parts: [Tensor]) -> Tensor { .joinedRows(blocks.map { make($0, parts) }) }
}

extension Tensor {
  /// x·Mᵀ [T, rows] for x [T, columns].
  public func linear(_ matrix: MadeRows, of parts: [Tensor]) -> Tensor {
    precondition(columns == matrix.columns, "\(shape) times the transpose of [\(matrix.rows), \(matrix.columns)]")
    let y = Tensor(uninitialized: shape.dropLast() + [matrix.rows], scalar)
    let values = parts.map(\.detached)
    for block in matrix.blocks {
      let rows = matrix.make(block, values)
      BLAS.multiply(
        scalar, self.rows, block.count, columns, operand, rows.operand.transpose, into: y.address(block.lowerBound),
        stride: matrix.rows)
    }
    return y.recorded(
      [self] + parts,
      Tensor.madeBackward(self, matrix, parts) { dy, block, made, dx in
        BLAS.multiply(
          dy.scalar, dy.rows, matrix.columns, block.count, dy.columnOperand(block), made.operand,
          beta: block.lowerBound == 0 ? 0 : 1, into: dx.address(), stride: matrix.columns)
      } slope: { dy, x, block, slope in
        BLAS.multiply(
          dy.scalar, block.count, matrix.columns, dy.rows, dy.columnOperand(block).transpose, x.operand, into: slope.address(),
          stride: matrix.columns)
      })
  }

  /// x·M [T, columns] for x [T, rows].
  public func multiplied(by matrix: MadeRows, of parts: [Tensor]) -> Tensor {
    precondition(columns == matrix.rows, "\(shape) times [\(matrix.rows), \(matrix.columns)]")
    let y = Tensor(uninitialized: shape.dropLast() + [matrix.columns], scalar)
    let values = parts.map(\.detached)
    for block in matrix.blocks {
      let rows = matrix.make(block, values)
      BLAS.multiply(
        scalar, self.rows, matrix.columns, block.count, columnOperand(block), rows.operand,
        beta: block.lowerBound == 0 ? 0 : 1, into: y.address(), stride: matrix.columns)
    }
    return y.recorded(
      [self] + parts,
      Tensor.madeBackward(self, matrix, parts) { dy, block, made, dx in
        BLAS.multiply(
          dy.scalar, dy.rows, block.count, matrix.columns, dy.operand, made.operand.transpose,
          into: dx.address(block.lowerBound), stride: matrix.rows)
      } slope: { dy, x, block, slope in
        BLAS.multiply(
          dy.scalar, block.count, matrix.columns, dy.rows, x.columnOperand(block).transpose, dy.operand, into: slope.address(),
          stride: matrix.columns)
      })
  }

  private typealias IntoInput = (_ dy: Tensor, _ block: Range<Int>, _ made: Tensor, _ dx: Tensor) -> Void
  private typealias IntoBlock = (_ dy: Tensor, _ x: Tensor, _ block: Range<Int>, _ slope: Tensor) -> Void

  /// Makes every block a second time: for the input's gradient, and to take the block's own back to the parts.
  private static func madeBackward(
    _ x: Tensor, _ matrix: MadeRows, _ parts: [Tensor], _ input: @escaping IntoInput, slope: @escaping IntoBlock
  ) -> Node.Backward {
    let (xNode, xShape, nodes, values) = (x.node, x.shape, parts.map(\.node), parts.map(\.detached))
    let isTrained = nodes.contains { $0 != nil }
    let kept = isTrained ? x.detached : nil
    return { dy, gradients in
      let leaves = zip(values, nodes).map { $1 == nil ? $0 : $0.tracked() }
      let dx = xNode == nil ? nil : Tensor(uninitialized: xShape, dy.scalar)
      for block in matrix.blocks {
        let made = matrix.make(block, leaves)
        if let dx { input(dy, block, made, dx) }
        guard let kept, let node = made.node else { continue }
        let seed = Tensor(uninitialized: made.shape, dy.scalar)
        slope(dy, kept, block, seed)
        Tensor.backward(from: node, seed)
      }
      if let dx { gradients.add(xNode, dx) }
      for (leaf, node) in zip(leaves, nodes) {
        if let gradient = leaf.gradient { gradients.add(node, gradient) }
      }
    }
  }

  /// Some columns of the matrix view as an operand of a product.
  private func columnOperand(_ range: Range<Int>) -> BLAS.Operand {
    BLAS.Operand(address: address(range.lowerBound), stride: columns)
  }
}
