import Engine
import PEFTKernel

/// A dense factor of an update: scale · M with M [outputs, inputs].
public struct Matrix: LinearMap {
  public let values: Tensor
  public let scale: Double
  /// The pair whose down or up this is.
  public let pair: Pair?

  public init(_ values: Tensor, scale: Double = 1, pair: Pair? = nil) {
    self.values = values
    self.scale = scale
    self.pair = pair
  }

  public var outputs: Int { values.rows }
  public var inputs: Int { values.columns }

  public func apply(_ x: Tensor) -> Tensor { x.multiplied(byTransposeOf: values, scale: scale) }

  public func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor {
    x.linear(values, scale: scale, addedTo: base)
  }

  public func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor {
    x.linear(values, scale: -scale, addedTo: base)
  }

  public func dense() -> Tensor { scale == 1 ? values : values * scale }

  public var scaled: (factor: Double, matrix: Tensor) { (scale, values) }
}
