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
  /// gain − 1 for methods that know it better than the subtraction would make it; near 1 that loses most digits.
  public var excess: Tensor?
  public var bias: Tensor?

  public init(chains: [[any LinearMap]] = [], gain: Tensor? = nil, excess: Tensor? = nil, bias: Tensor? = nil) {
    self.chains = chains
    self.gain = gain
    self.excess = excess
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
      for sum in sums {
        guard let last = sum.last else {
          y = call.apply(sum.chains[0], to: input, addedTo: y)
          continue
        }
        var inner = Tensor.zeros([input.rows, last.inputs], input.scalar)
        for chain in sum.chains { inner = call.apply(chain, to: input, addedTo: inner) }
        y = last.apply(inner, addedTo: y)
      }
      return y
    }
    guard let gain else {
      let y = withChains(call.baseOutput)
      return bias.map { y.addingRow($0) } ?? y
    }
    var y: Tensor
    if dropout > 0, call.pass.now.mode == .training {
      let excess = excess ?? gain.addingRow(Tensor(repeating: -1, shape: gain.shape, gain.scalar))
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

  /// y plus the columns `indices` of every chain: rows of a table whose weight is changed. Methods that serve tables have no gain.
  func rows(_ indices: [Int32], addedTo y: Tensor) -> Tensor {
    chains.reduce(y) { y, chain in
      guard let last = chain.last, let first = chain.first else { return y }
      let columns = last.columns(indices)
      if chain.count == 1 { return y + columns }
      return first.apply(chain.dropFirst().dropLast().reversed().reduce(columns) { $1.apply($0) }, addedTo: y)
    }
  }

  /// y − Σ chains·x: what an offset leaves of the base's product. A gain has no part in an offset.
  func subtracted(from y: consuming Tensor, _ x: Tensor) -> Tensor {
    var y = y
    func rows(_ chain: ArraySlice<any LinearMap>) -> Tensor { chain.reversed().reduce(x) { $1.apply($0) } }
    for sum in sums {
      if let last = sum.last {
        let parts = sum.chains.map { rows($0[...]) }
        y = last.apply(parts.dropFirst().reduce(parts[0], +), subtractedFrom: y)
      } else if let last = sum.chains[0].first {
        y = last.apply(rows(sum.chains[0].dropFirst()), subtractedFrom: y)
      }
    }
    return y
  }

  /// The chains as they are applied: several that end in one and the same map are added up before it, and `last` is that map.
  private var sums: [(last: (any LinearMap)?, chains: [[any LinearMap]])] {
    let shares = chains.map { $0.count > 1 ? $0[0].share : nil }
    var sums: [(last: (any LinearMap)?, chains: [[any LinearMap]])] = []
    var places: [String: Int] = [:]
    for (chain, share) in zip(chains, shares) {
      if let share, let place = places[share] {
        sums[place].chains.append(Array(chain.dropFirst()))
      } else if let share, shares.count(where: { $0 == share }) > 1 {
        places[share] = sums.count
        sums.append((chain[0], [Array(chain.dropFirst())]))
      } else {
        sums.append((nil, [chain]))
      }
    }
    return sums
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
