import Engine

/// What an adapter does to a weight, as a value that is differentiable in its tensors:
///
///     W' = diag(gain)·(W + Σ chains),   b' = b + bias
///
/// with every chain a product of maps, the first applied last. Forward, gradient, merge and export follow from it.
public struct WeightChange: Sendable {
  public var chains: [[any LinearMap]]
  /// One factor a row of the weight [outputs]; nil for 1 everywhere.
  public var gain: Tensor?
  public var bias: Tensor?

  public init(chains: [[any LinearMap]] = [], gain: Tensor? = nil, bias: Tensor? = nil) {
    self.chains = chains
    self.gain = gain
    self.bias = bias
  }

  /// The changed map's output for one use of a site; its branch sees the input through `dropout`.
  ///
  /// With a gain and dropout the base's output stays as it is, and what the gain adds to it is computed from the dropped input:
  /// y = x·Wᵀ + b + (g − 1) ⊙ x_d·Wᵀ + g ⊙ Σ chains(x_d).
  public func output(_ call: SiteCall, dropout: Double = 0) -> Tensor {
    let input = call.branchInput(dropout)
    func withChains(_ y: consuming Tensor) -> Tensor {
      var y = y
      for chain in chains { y = call.apply(chain, to: input, addedTo: y) }
      return y
    }
    guard let gain else {
      let y = withChains(call.baseOutput)
      return bias.map { y.addingRow($0) } ?? y
    }
    var y: Tensor
    if dropout > 0, call.pass.now.mode == .training {
      let excess = gain.addingRow(Tensor(repeating: -1, shape: gain.shape, gain.scalar))
      let branch = withChains(.zeros([input.rows, call.site.outputs], input.scalar)).multipliedByRow(gain)
      y = call.base.product(call.input) + call.base.product(input).multipliedByRow(excess) + branch
    } else {
      y = withChains(call.base.product(input)).multipliedByRow(gain)
    }
    for bias in [call.base.bias, bias].compactMap({ $0 }) {
      y = y.addingRow(bias.scalar == y.scalar ? bias : bias.converted(to: y.scalar))
    }
    return y
  }

  /// y − Σ chains·x: what an offset leaves of the base's product. A gain has no part in an offset.
  func subtracted(from y: consuming Tensor, _ x: Tensor) -> Tensor {
    var y = y
    for chain in chains {
      guard let last = chain.first else { continue }
      let inner = chain.dropFirst().reversed().reduce(x) { $1.apply($0) }
      y = last.apply(inner, subtractedFrom: y)
    }
    return y
  }

  /// ΔW = W' − W [outputs, inputs] as one matrix: for merging and analysis, never for training. `weight` is W.
  public func dense(on weight: Tensor) -> Tensor {
    var sum = Tensor.zeros(weight.shape, weight.scalar)
    for chain in chains {
      guard let first = chain.first else { continue }
      let product = chain.dropFirst().reduce(first.dense()) { $1.multiplied(from: $0) }
      sum = sum + product.converted(to: weight.scalar)
    }
    guard let gain else { return sum }
    return (weight + sum).multipliedByColumn(gain.detached.converted(to: weight.scalar)) - weight
  }
}
