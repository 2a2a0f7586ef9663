import Engine

/// A linear map that is a factor of an update: applied, never formed in training. Gradients follow from its operations.
public protocol LinearMap: Sendable {
  var outputs: Int { get }
  var inputs: Int { get }
  /// x [T, inputs] ↦ [T, outputs].
  func apply(_ x: Tensor) -> Tensor
  /// base + apply(x), in base's memory where that can be done.
  func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor
  /// The same with the opposite sign.
  func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor
  /// [outputs, inputs].
  func dense() -> Tensor
  /// The map as factor · matrix where it keeps a factor apart: files then hold both as they are.
  var scaled: (factor: Double, matrix: Tensor) { get }
}

extension LinearMap {
  public func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor { base + apply(x) }
  public func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor { base - apply(x) }
  public var scaled: (factor: Double, matrix: Tensor) { (1, dense()) }
}

/// What an adapter does to a weight, as a value that is differentiable in its tensors:
///
///     W' = W + Σ chains,   b' = b + bias
///
/// with every chain a product of maps, the first applied last. Forward, gradient, merge and export follow from it.
public struct WeightChange: Sendable {
  public var chains: [[any LinearMap]]
  public var bias: Tensor?

  public init(chains: [[any LinearMap]] = [], bias: Tensor? = nil) {
    self.chains = chains
    self.bias = bias
  }

  /// y + change·x, for y the base's output at x.
  public func added(to y: consuming Tensor, _ x: Tensor) -> Tensor {
    var y = y
    for chain in chains {
      guard let last = chain.first else { continue }
      let inner = chain.dropFirst().reversed().reduce(x) { $1.apply($0) }
      y = last.apply(inner, addedTo: y)
    }
    if let bias { y = y.addingRow(bias) }
    return y
  }

  func subtracted(from y: consuming Tensor, _ x: Tensor) -> Tensor {
    var y = y
    for chain in chains {
      guard let last = chain.first else { continue }
      let inner = chain.dropFirst().reversed().reduce(x) { $1.apply($0) }
      y = last.apply(inner, subtractedFrom: y)
    }
    if let bias { y = y.addingRow(bias * -1) }
    return y
  }

  /// ΔW [outputs, inputs] as one matrix: for merging and analysis, never for training. `weight` gives shape and scalar.
  public func dense(like weight: Tensor) -> Tensor {
    var sum = Tensor.zeros(weight.shape, weight.scalar)
    for chain in chains {
      guard let first = chain.first else { continue }
      let product = chain.dropFirst().reduce(first.dense()) { $0.multiplied(by: $1.dense()) }
      sum = sum + product.converted(to: weight.scalar)
    }
    return sum
  }
}
