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
///
/// Other maps can stand in P's place: see `Map`.
public struct OneVector: Advising {
  /// What P is: the paper's, or one of those it is compared with. All are drawn from the seed, and (nearly) isometric.
  public enum Map: String, Sendable, CaseIterable {
    /// The paper's: every factor entry copies one entry of θ_d. O(D).
    case uniform
    /// Walsh–Hadamard transforms around random signs, numbers and permutations. O(D log d).
    case fastfood
    /// A dense matrix of normal draws. O(D·d) time and memory: for small models.
    case gaussian
  }

  public var rank: Int
  /// d; nil for D/16.
  public var length: Int?
  public var map: Map
  /// What P is drawn from; for the uniform map by which generator.
  public var seed: UInt64
  public var generator: IndexGenerator
  /// How θ_d starts.
  public var fill: Fill
  public var dropout: Double
  /// Whether files hold the uniform map's index rather than only its seed.
  public var savesIndices: Bool

  public init(
    rank: Int = 4, length: Int? = nil, map: Map = .uniform, seed: UInt64 = 42, generator: IndexGenerator = .philox,
    fill: Fill = .uniform(bound: 0.02), dropout: Double = 0, savesIndices: Bool = false
  ) {
    self.rank = rank
    self.length = length
    self.map = map
    self.seed = seed
    self.generator = generator
    self.fill = fill
    self.dropout = dropout
    self.savesIndices = savesIndices
  }

  /// θ_D = P·θ_d, cut into the sites' A and B. The tape's adjoint is Pᵀ: one for all sites.
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    let theta = stored["unilora_theta_d"]
    let factors = FactorPlace.all(in: stored)
    let entries = factorMap(of: stored, factors, length: theta.count).project(theta)
    var prepared = Tensors()
    for factor in factors { prepared[factor.key] = entries.slice(rows: factor.range).reshaped(factor.shape) }
    return prepared
  }

  /// P as these tensors have it.
  ///
  /// n_j is counted from the indices, unless 1/√n_j [d] is given because other sites share θ_d as well.
  func factorMap(of stored: Tensors, _ factors: [FactorPlace], length: Int) -> any FactorMap {
    let positions = factors.last?.range.upperBound ?? 0
    switch map {
    case .uniform:
      let index = factors.flatMap { stored[$0.source].floats.map { Int32($0) } }
      return ScaledGather(
        index: index, norms: stored.optional("unilora_norms") ?? Assignment.norms(index, length: length))
    case .fastfood: return Fastfood(stored, positions: positions, length: length)
    case .gaussian: return DenseMap(values: stored["unilora_gaussian"])
    }
  }

  /// ΔW = B·A; exact as a plain LoRA of this rank with alpha = rank.
  public func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    WeightChange(chains: [[Matrix(prepared["B", site.id]), Matrix(prepared["A", site.id])]])
  }
}
