import Blocks
import Engine
import PEFTKernel

/// SNELL's kernel merge: ΔW from the distances between the rows of two thin matrices, of which the largest survive
/// [arXiv:2411.01800, Eqs. 3–6].
///
///     D[o, i] = c·(‖A₀[i] − B₀[o]‖ − ‖A₁[i] − B₁[o]‖)
///     ΔW = D ∘ gate,   gate = |D| where |D| > t, else 0    (soft: max(|D| − t, 0);  sparsity 0: ΔW = D)
///
/// with A [2, in, r/2], B [2, out, r/2] and t the quantile of |D| at the sparsity. The gate is a constant under
/// differentiation. Full rank from r·(in + out) numbers; r·out·in multiply-adds and 2·out·in roots to make ΔW, once for t,
/// once in every forward and once or twice in every backward pass: it is never whole, only a tile of it at a time.
public struct MergedDistances: Projection {
  /// What the entries that survive are multiplied by.
  public enum Gate: String, Sendable, CaseIterable {
    /// |D|: the authors' code, and all their numbers.
    case hard
    /// |D| − t: the paper's Eq. 5.
    case soft
  }

  public var rank: Int
  /// s.
  public var sparsity: Double
  public var gate: Gate
  /// c of the first piece; the second has −c.
  public var coefficient: Double
  public var dropout: Double
  public var dropPath: Double

  public init(
    rank: Int = 8, sparsity: Double = 0.9, gate: Gate = .hard, coefficient: Double = 0.1, dropout: Double = 0,
    dropPath: Double = 0
  ) {
    self.rank = rank
    self.sparsity = sparsity
    self.gate = gate
    self.coefficient = coefficient
    self.dropout = dropout
    self.dropPath = dropPath
  }

  /// Kaiming's uniform with slope √5, as for three axes: the fan-in of A is in·r/2.
  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    for site in sites {
      let q = rank / 2
      func spec(_ name: String, _ size: Int) -> TensorSpec {
        TensorSpec(TensorKey(name, site.id), [2, size, q], .hidden, fill: .uniform(bound: 1 / Double(size * q).squareRoot()))
      }
      specs += [spec(Name.a, site.inputs), spec(Name.b, site.outputs)]
    }
    return specs
  }

  private enum Name {
    static let (a, b) = ("snell_A", "snell_B")
    /// What the gate sees, made by `prepare`: the factors held constant, and t.
    static let (seenA, seenB, threshold) = ("gate_A", "gate_B", "threshold")
  }

  /// The threshold of every site, once per step. Holding the factors that the gate is taken of holds the whole gate.
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    guard sparsity > 0 else { return stored }
    var prepared = stored
    let keys = stored.values.keys.filter { $0.name == Name.a }.sorted { $0.description < $1.description }
    for case .site(let site) in keys.map(\.scope) {
      let (a, b) = (now.stop(stored[Name.a, site]), now.stop(stored[Name.b, site]))
      prepared[Name.seenA, site] = a
      prepared[Name.seenB, site] = b
      // In double: rounded up, a threshold would shut out the entry next to it.
      let threshold = KernelMerge(a: a, b: b, scale: coefficient).quantile(sparsity)
      prepared[Name.threshold, site] = Tensor([threshold], .float64)
    }
    return prepared
  }

  private func merge(at site: Site, _ t: Tensors) -> KernelMerge {
    let gate = t.optional(Name.threshold, site.id).map { threshold in
      KernelMerge.Gate(
        a: t[Name.seenA, site.id], b: t[Name.seenB, site.id], threshold: threshold.item, isSoft: self.gate == .soft)
    }
    return KernelMerge(a: t[Name.a, site.id], b: t[Name.b, site.id], scale: coefficient, gate: gate)
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    WeightChange(chains: [[MergedMap(merge: merge(at: site, t))]])
  }

  /// Tiles of ΔW are added to tiles of W, which saves a product, unless the two see different inputs or W comes in no rows.
  public func output(_ call: SiteCall, _ t: Tensors) -> Tensor {
    let merge = merge(at: call.site, t)
    let drops = call.pass.now.mode == .training && (dropout > 0 || dropPath > 0)
    if !drops, let base = call.base as? FrozenMap, !base.isTransposed {
      let y = call.input.linear(merge) { [scalar = call.input.scalar] in base.rows($0, as: scalar) }
      return base.withBias(y)
    }
    return withoutDroppedSequences(call.branchInput(dropout), call).linear(merge, addedTo: call.baseOutput)
  }

  /// The input of ΔW with whole sequences at 0, and the others larger by 1/(1 − drop_path).
  private func withoutDroppedSequences(_ x: Tensor, _ call: SiteCall) -> Tensor {
    guard dropPath > 0, call.pass.now.mode == .training else { return x }
    var random = call.pass.now.random("drop-path", call.site.id)
    let factors = call.pass.rows.sequences.flatMap { sequence in
      [Double](repeating: random.uniform() < dropPath ? 0 : 1 / (1 - dropPath), count: sequence.count)
    }
    return x.multipliedByColumn(Tensor(factors, shape: [factors.count], x.scalar))
  }
}

/// ΔW as a factor of a change: made by tiles wherever it is applied.
private struct MergedMap: LinearMap {
  let merge: KernelMerge

  var outputs: Int { merge.outputs }
  var inputs: Int { merge.inputs }
  func apply(_ x: Tensor) -> Tensor { x.multiplied(byTransposeOf: merge) }
  func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor { x.linear(merge, addedTo: base) }
  func dense() -> Tensor { merge.dense() }
}
