import Engine
import PEFTKernel

/// One dense factor for each of several equal parts of its input, scale · (I ⊗ M): the parts go through one product as so many rows.
public struct Repeated: LinearMap {
  /// M [outputs, inputs] of a part.
  public let values: Tensor
  public let scale: Double
  public let copies: Int
  public let pair: Pair?

  public init(_ values: Tensor, copies: Int, scale: Double = 1, pair: Pair? = nil) {
    self.values = values
    self.copies = copies
    self.scale = scale
    self.pair = pair
  }

  public var outputs: Int { copies * values.rows }
  public var inputs: Int { copies * values.columns }

  public func apply(_ x: Tensor) -> Tensor {
    x.reshaped([x.rows * copies, values.columns]).multiplied(byTransposeOf: values, scale: scale).reshaped([x.rows, outputs])
  }

  public func dense() -> Tensor { scale == 1 ? scaled.matrix : scaled.matrix * scale }

  public var scaled: (factor: Double, matrix: Tensor) {
    let rows = (0..<copies).map { part in
      Tensor.joinedColumns((0..<copies).map { $0 == part ? values : .zeros(values.shape, values.scalar) })
    }
    return (scale, .joinedRows(rows))
  }
}
