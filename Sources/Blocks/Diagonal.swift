import Engine
import PEFTKernel

/// One factor a direction: x ↦ x ⊙ d with d [n].
public struct Diagonal: LinearMap {
  public let values: Tensor

  public init(_ values: Tensor) { self.values = values }

  public var outputs: Int { values.count }
  public var inputs: Int { values.count }

  public func apply(_ x: Tensor) -> Tensor { x.multipliedByRow(values) }

  public func dense() -> Tensor { Tensor.identity(values.count, values.scalar).multipliedByRow(values) }

  public func multiplied(from left: Tensor) -> Tensor { left.multipliedByRow(values) }
}

/// Maps beside each other: the first inputs go through the first map, the next ones through the second, and so on.
public struct BlockDiagonal: LinearMap {
  public let blocks: [any LinearMap]

  public init(_ blocks: [any LinearMap]) { self.blocks = blocks }

  public var outputs: Int { blocks.reduce(0) { $0 + $1.outputs } }
  public var inputs: Int { blocks.reduce(0) { $0 + $1.inputs } }

  public func apply(_ x: Tensor) -> Tensor {
    var at = 0
    return .joinedColumns(
      blocks.map { block in
        defer { at += block.inputs }
        return block.apply(x.slice(columns: at..<at + block.inputs))
      })
  }

  public func multiplied(from left: Tensor) -> Tensor {
    var at = 0
    return .joinedColumns(
      blocks.map { block in
        defer { at += block.outputs }
        return block.multiplied(from: left.slice(columns: at..<at + block.outputs))
      })
  }

  public func dense() -> Tensor {
    var at = 0
    let parts = blocks.map { $0.dense() }
    return .joinedRows(
      zip(blocks, parts).map { block, part in
        defer { at += block.inputs }
        let (left, right) = (at, inputs - at - block.inputs)
        return .joinedColumns([.zeros([part.rows, left], part.scalar), part, .zeros([part.rows, right], part.scalar)])
      })
  }
}
