import Blocks
import Engine
import PEFTKernel

/// Uni-LoRA: every entry of every LoRA factor of the model is a rescaled copy of one entry of a single vector θ_d
/// [arXiv:2506.00799].
///
///     θ_D = P·θ_d,  P[p, j] = 1/√n_j where j = index[p], else 0;  ΔW = B·A at every site
///
/// θ_D [D] strings together A [rank, inputs] and B [outputs, rank] of all sites, D = Σ rank·(inputs + outputs), and n_j
/// counts the copies of θ_d[j]. The index is a balanced list shuffled from a seed, so PᵀP = I, and what is trained and
/// stored is d numbers, whatever the model. Project: O(D) once per step; forward: as LoRA of this rank.
public struct OneVector: Projection {
  public var rank: Int
  /// d; nil for D/16.
  public var length: Int?
  /// Which index list is drawn, by which generator.
  public var seed: UInt64
  public var generator: IndexGenerator
  /// How θ_d starts.
  public var fill: Fill
  public var dropout: Double
  /// Whether files hold the index rather than only its seed.
  public var savesIndices: Bool

  public init(
    rank: Int = 4, length: Int? = nil, seed: UInt64 = 42, generator: IndexGenerator = .philox,
    fill: Fill = .uniform(bound: 0.02), dropout: Double = 0, savesIndices: Bool = false
  ) {
    self.rank = rank
    self.length = length
    self.seed = seed
    self.generator = generator
    self.fill = fill
    self.dropout = dropout
    self.savesIndices = savesIndices
  }

  /// θ_d [d], trained; beside it the index of each factor's entries into it, as numbers a `Float` holds exactly.
  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    for site in sites {
      guard site.kind == .linear else { throw Refusal("uni-lora adapts linear maps, which \(site.id) is not") }
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
    let assignment = Assignment(positions: positions, length: length, generator: generator, seed: seed, sites: sites)
    var specs = [TensorSpec(TensorKey("unilora_theta_d"), [length], .vector, fill: fill, decays: false)]
    var start = 0
    for site in sites {
      for (name, shape) in [(Self.indexA, [rank, site.inputs]), (Self.indexB, [site.outputs, rank])] {
        let range = start..<start + shape[0] * shape[1]
        start = range.upperBound
        let fill = Computation("\(assignment.name) \(range)") { assignment.index[range].map(Float.init) }
        specs.append(
          TensorSpec(
            TensorKey(name, site.id), shape, .index, fill: .computed(fill), keep: savesIndices ? .stored : .seeded,
            decays: false))
      }
    }
    return specs
  }

  /// D and d.
  private func sizes(over sites: [Site]) -> (positions: Int, length: Int) {
    let positions = sites.reduce(0) { $0 + rank * ($1.inputs + $1.outputs) }
    return (positions, length ?? max(1, (positions + 8) / 16))
  }

  /// What is wrong with d for these sites, though it works.
  func notes(over sites: [Site]) -> [String] {
    let (positions, length) = sizes(over: sites)
    if length > positions {
      return ["theta_d_length is \(length), but there are \(positions) factor entries: the rest is unused"]
    }
    guard positions > 64 * length else { return [] }
    return ["\(positions) factor entries share \(length) numbers, more than 64 each: little can be learned; raise theta_d_length"]
  }

  /// θ_D = P·θ_d, cut into the sites' A and B. The tape's adjoint is Pᵀ: one scatter over all sites.
  ///
  /// n_j is counted from the indices, unless 1/√n_j [d] is given because other sites share θ_d as well.
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    let theta = stored["unilora_theta_d"]
    let keys = Self.indexKeys(of: stored)
    let index = keys.flatMap { stored[$0].floats.map { Int32($0) } }
    let norms = stored.optional("unilora_norms") ?? Assignment.norms(index, length: theta.count)
    let factors = theta.gather(index, norms: norms.converted(to: theta.scalar), shape: [index.count])
    var prepared = Tensors()
    var start = 0
    for key in keys {
      let shape = stored[key].shape
      let range = start..<start + shape[0] * shape[1]
      start = range.upperBound
      prepared[TensorKey(key.name == Self.indexA ? "A" : "B", key.scope)] = factors.slice(rows: range).reshaped(shape)
    }
    return prepared
  }

  /// ΔW = B·A; exact as a plain LoRA of this rank with alpha = rank.
  public func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    WeightChange(chains: [[Matrix(prepared["B", site.id]), Matrix(prepared["A", site.id])]])
  }

  public func check(_ stored: Tensors) throws(Refusal) {
    guard let theta = stored.optional("unilora_theta_d") else { throw Refusal("the adapter lacks unilora_theta_d") }
    guard stored.optional("unilora_norms").map({ $0.count == theta.count }) ?? true else {
      throw Refusal("unilora_norms has another length than unilora_theta_d")
    }
    let keys = Self.indexKeys(of: stored)
    guard !keys.isEmpty else { throw Refusal("the adapter lacks the index of its factors' entries into unilora_theta_d") }
    for key in keys {
      let wrong = stored[key].floats.first { !($0 >= 0 && $0 < Float(theta.count) && $0 == $0.rounded()) }
      if let wrong { throw Refusal("\(key) holds \(wrong), which is no index into \(theta.count) numbers") }
    }
  }

  static let indexA = "unilora_indices_A"
  static let indexB = "unilora_indices_B"
  /// Whole numbers below this are exact in a `Float`.
  static let longest = 1 << 24

  /// In an order of their own, so that sums over them are the same in every run.
  private static func indexKeys(of stored: Tensors) -> [TensorKey] {
    stored.values.keys.filter { $0.name == indexA || $0.name == indexB }.sorted { $0.description < $1.description }
  }
}
