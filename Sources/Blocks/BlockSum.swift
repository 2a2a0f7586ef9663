import Engine
import PEFTKernel

/// The sum of equal blocks of the input: x = [x_1 … x_n] ↦ Σ_i x_i, the matrix [I I … I]. Costs additions, no product.
public struct BlockSum: LinearMap {
  /// n.
  public let blocks: Int
  /// Numbers of a block.
  public let width: Int
  /// What `dense` is written in.
  public let scalar: ScalarType

  public init(blocks: Int, width: Int, _ scalar: ScalarType) {
    self.blocks = blocks
    self.width = width
    self.scalar = scalar
  }

  public var outputs: Int { width }
  public var inputs: Int { blocks * width }
  public var share: String? { "block-sum \(blocks)" }

  public func apply(_ x: Tensor) -> Tensor { x.blockSum(blocks) }

  public func dense() -> Tensor { .joinedColumns(Array(repeating: .identity(width, scalar), count: blocks)) }

  public func multiplied(from left: Tensor) -> Tensor { .joinedColumns(Array(repeating: left, count: blocks)) }
}

extension Tensor {
  /// Σ_i x_i for x = [x_1 … x_n], n blocks of columns side by side: [T, n·w] ↦ [T, w]. The way back copies, it does not multiply.
  public func blockSum(_ blocks: Int) -> Tensor {
    blocks == 1 ? self : weightedSlices(Tensor(repeating: 1, shape: [rows, blocks], scalar))
  }
}
