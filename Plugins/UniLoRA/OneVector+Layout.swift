import Engine
import PEFTKernel

extension OneVector {
  /// Whole numbers below this are exact in a `Float`.
  static let longest = 1 << 24

  /// θ_d [d], trained; beside it what the map is made of, drawn from the seed.
  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    for site in sites {
      guard rank <= min(site.inputs, site.outputs) else {
        throw Refusal(
          "rank \(rank) exceeds what \(site.id) [\(site.outputs), \(site.inputs)] can use",
          remedy: "use at most \(min(site.inputs, site.outputs)), or leave the site out")
      }
    }
    let (positions, length) = sizes(over: sites)
    guard positions <= Int(Int32.max), length <= Self.longest else {
      throw Refusal(
        "\(positions) factor entries on \(length) trained numbers are more than an index can address",
        remedy: "use a smaller rank, and a theta_d_length of at most \(Self.longest)")
    }
    let theta = TensorSpec(TensorKey("unilora_theta_d"), [length], .vector, fill: fill, decays: false)
    let source = Assignment.stream(seed, sites)
    switch map {
    case .uniform: return [theta] + indices(over: sites, positions: positions, length: length)
    case .fastfood: return [theta] + Fastfood.specs(positions: positions, length: length, source) + places(of: sites)
    case .gaussian: return [theta] + (try DenseMap.specs(positions: positions, length: length, source)) + places(of: sites)
    }
  }

  /// D and d.
  private func sizes(over sites: [Site]) -> (positions: Int, length: Int) {
    let positions = sites.reduce(0) { $0 + rank * ($1.inputs + $1.outputs) }
    return (positions, length ?? max(1, (positions + 8) / 16))
  }

  /// The index of each factor's entries into θ_d, as numbers a `Float` holds exactly.
  private func indices(over sites: [Site], positions: Int, length: Int) -> [TensorSpec] {
    let assignment = Assignment(positions: positions, length: length, generator: generator, seed: seed, sites: sites)
    var start = 0
    return sites.flatMap { site in
      [(FactorPlace.indexA, [rank, site.inputs]), (FactorPlace.indexB, [site.outputs, rank])].map { name, shape in
        let range = start..<start + shape[0] * shape[1]
        start = range.upperBound
        let fill = Computation("\(assignment.name) \(range)") { assignment.index[range].map(Float.init) }
        return TensorSpec(
          TensorKey(name, site.id), shape, .index, fill: .computed(fill), keep: savesIndices ? .stored : .seeded, decays: false)
      }
    }
  }

  /// Which part of θ_D each factor is, for maps that make θ_D as a whole.
  private func places(of sites: [Site]) -> [TensorSpec] {
    let factors = sites.flatMap { site in
      [
        (TensorKey(FactorPlace.placeA, site.id), rank, site.inputs),
        (TensorKey(FactorPlace.placeB, site.id), site.outputs, rank),
      ]
    }
    return factors.enumerated().map { order, factor in
      let place = [order, factor.1, factor.2].map(Float.init)
      return TensorSpec(
        factor.0, [3], .index, fill: .computed(Computation("uni-lora place \(place)") { place }), keep: .seeded, decays: false)
    }
  }

  /// What is wrong with d for these sites, though it works.
  public func notes(over sites: [Site]) -> [String] {
    let (positions, length) = sizes(over: sites)
    if length > positions {
      let rest = map == .uniform ? "the rest is unused" : "no more than that can be told apart"
      return ["theta_d_length is \(length), but there are \(positions) factor entries: \(rest)"]
    }
    guard positions > 64 * length else { return [] }
    return ["\(positions) factor entries share \(length) numbers, more than 64 each: little can be learned; raise theta_d_length"]
  }

  public func check(_ stored: Tensors) throws(Refusal) {
    guard let theta = stored.optional("unilora_theta_d") else { throw Refusal("the adapter lacks unilora_theta_d") }
    guard stored.optional("unilora_norms").map({ $0.count == theta.count }) ?? true else {
      throw Refusal("unilora_norms has another length than unilora_theta_d")
    }
    let names: [String] =
      switch map {
      case .uniform: []
      case .fastfood: ["unilora_signs", "unilora_permutation", "unilora_gaussian"]
      case .gaussian: ["unilora_gaussian"]
      }
    for name in names where stored.optional(name) == nil { throw Refusal("the adapter lacks \(name)") }
    try FactorPlace.check(stored)
    let factors = FactorPlace.all(in: stored)
    guard !factors.isEmpty else { throw Refusal("the adapter lacks the places of its factors' entries") }
    if map == .uniform {
      for factor in factors {
        let wrong = stored[factor.source].floats.first { !($0 >= 0 && $0 < Float(theta.count) && $0 == $0.rounded()) }
        if let wrong { throw Refusal("\(factor.source) holds \(wrong), which is no index into \(theta.count) numbers") }
      }
    }
    let made = factorMap(of: stored, factors, length: theta.count)
    guard made.length == theta.count, made.positions == factors.last?.range.upperBound else {
      throw Refusal(
        "map \(map.rawValue) makes \(made.positions) numbers of \(made.length), not those of the factors of \(theta.count)")
    }
    try made.check()
  }
}
