import Blocks
import Engine
import PEFTKernel

/// Two linear branches around a frozen map: one beside it, one behind it [arXiv:2309.06922].
///
///     f = x·Wᵀ + b
///     y = f + s·(B_p·(A_p·x + a_p) + b_p) + s·(B_s·(A_s·f + a_s) + b_s)
///
/// A_p [r_p, in], A_s [r_s, out], B_p [out, r_p], B_s [out, r_s]. The parallel branch can add features, the sequential one
/// combines those that W computes: rows of its change lie in the row space of W. Both fold into weight and bias:
///
///     ΔW = s·(B_p·A_p + B_s·A_s·W)
///     Δb = s·(B_p·a_p + b_p) + s·(B_s·(A_s·b + a_s) + b_s)
///
/// The sequential branch reads f with the base's bias. A row costs r_p·(in + out) + 2·r_s·out products; f is kept for the way back.
public struct ParallelSequential: Projection {
  /// r_p; 0 for no branch beside the map.
  public var parallelRank: Int
  /// r_s; 0 for no branch behind it.
  public var sequentialRank: Int
  /// s, or where it starts.
  public var factor: Double
  /// Whether s is a trained scalar of each site.
  public var learnsFactor: Bool
  /// Whether the branches have the biases a and b.
  public var hasBias: Bool
  /// Dropout between the factors of each branch.
  public var innerDropout: Double

  public init(
    parallelRank: Int = 2, sequentialRank: Int = 2, factor: Double = 1, learnsFactor: Bool = false, hasBias: Bool = true,
    innerDropout: Double = 0
  ) throws(Refusal) {
    guard parallelRank + sequentialRank > 0 else {
      throw Refusal("r_par and r_seq are both 0, which leaves no branch", remedy: "use at least 1 for one of them")
    }
    guard factor.isFinite, factor != 0 else {
      throw Refusal("scale is \(factor), which trains nothing", remedy: "use a number other than 0, 1 for example")
    }
    self.parallelRank = parallelRank
    self.sequentialRank = sequentialRank
    self.factor = factor
    self.learnsFactor = learnsFactor
    self.hasBias = hasBias
    self.innerDropout = innerDropout
  }

  private struct Branch {
    let name: String, rank: Int, inputs: Int, isSequential: Bool
    /// Only without bias, dropout and a trained scale do the factors occur as their product alone.
    let pair: Pair?
  }

  private func branches(at site: Site) -> [Branch] {
    let isPaired = !hasBias && innerDropout == 0 && !learnsFactor
    func branch(_ name: String, _ rank: Int, _ inputs: Int, isSequential: Bool) -> Branch {
      Branch(
        name: name, rank: rank, inputs: inputs, isSequential: isSequential,
        pair: isPaired ? Pair("\(site.id.path)#\(name)") : nil)
    }
    return [
      branch("hydra_par", parallelRank, site.inputs, isSequential: false),
      branch("hydra_seq", sequentialRank, site.outputs, isSequential: true),
    ].filter { $0.rank > 0 }
  }

  /// A trained s is in the prepared tensors.
  public func scale(at site: Site) -> Double { learnsFactor ? 1 : factor }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    for site in sites {
      for branch in branches(at: site) {
        let most = min(branch.inputs, site.outputs)
        guard branch.rank <= most else {
          throw Refusal(
            "\(branch.isSequential ? "r_seq" : "r_par") \(branch.rank) exceeds what \(site.id) [\(site.outputs), \(site.inputs)] "
              + "can use", remedy: "use at most \(most)")
        }
        func spec(_ name: String, _ shape: [Int], _ role: Role, _ fill: Fill = .zeros) -> TensorSpec {
          TensorSpec(TensorKey("\(branch.name)_\(name)", site.id), shape, role, fill: fill)
        }
        let bound = (6 / Double(branch.inputs + branch.rank)).squareRoot()
        specs.append(spec("A", [branch.rank, branch.inputs], .down(branch.pair), .uniform(bound: bound)))
        specs.append(spec("B", [site.outputs, branch.rank], .up(branch.pair)))
        guard hasBias else { continue }
        specs.append(spec("A_bias", [branch.rank], .bias))
        specs.append(spec("B_bias", [site.outputs], .bias))
      }
      if learnsFactor { specs.append(TensorSpec(TensorKey("hydra_scale", site.id), [1], .scalar, fill: .values([factor]))) }
    }
    return specs
  }

  /// A trained s goes into B and b, so that the sites see none.
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    guard learnsFactor else { return stored }
    var prepared = stored
    for (key, value) in stored.values where key.name.hasSuffix("_B") || key.name.hasSuffix("_B_bias") {
      let ones = Tensor(repeating: 1, shape: [value.columns, 1], value.scalar)
      let row = ones.multiplied(by: stored[TensorKey("hydra_scale", key.scope)].reshaped([1, 1])).reshaped([value.columns])
      prepared[key] = value.multipliedByRow(row)
    }
    return prepared
  }

  /// The factors of a branch, up first.
  private func factors(_ branch: Branch, at site: Site, _ t: Tensors) -> [any LinearMap] {
    [
      Matrix(t["\(branch.name)_B", site.id], scale: scale(at: site), pair: branch.pair),
      Matrix(t["\(branch.name)_A", site.id], pair: branch.pair),
    ]
  }

  public func output(_ call: SiteCall, _ t: Tensors) -> Tensor {
    let f = call.baseOutput
    var y = f
    for branch in branches(at: call.site) {
      let chain = factors(branch, at: call.site, t)
      let x = branch.isSequential ? f : call.input
      let inner = t.optional("\(branch.name)_A_bias", call.site.id)
      let drops = innerDropout > 0 && call.pass.now.mode == .training
      guard inner != nil || drops else {
        y = call.apply(chain, to: x, addedTo: y)
        continue
      }
      var u = chain[1].apply(x)
      if let inner { u = u.addingRow(inner) }
      if drops { u = u.dropout(innerDropout, call.pass.now.random("dropout.\(branch.name)", call.site.id)) }
      y = chain[0].apply(u, addedTo: y)
      if let outer = t.optional("\(branch.name)_B_bias", call.site.id) { y = y.addingRow(outer * scale(at: call.site)) }
    }
    return y
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    var change = WeightChange()
    for branch in branches(at: site) {
      var chain = factors(branch, at: site, t)
      let scalar = t["\(branch.name)_A", site.id].scalar
      var inner = t.optional("\(branch.name)_A_bias", site.id).map { $0.reshaped([1, branch.rank]) }
      if branch.isSequential, let bias = base.bias {
        let bias = (bias.scalar == scalar ? bias : bias.converted(to: scalar)).reshaped([1, site.outputs])
        let seen = chain[1].apply(bias)
        inner = inner.map { $0 + seen } ?? seen
      }
      let outer = t.optional("\(branch.name)_B_bias", site.id).map { $0 * scale(at: site) }
      for term in [inner.map { chain[0].apply($0).reshaped([site.outputs]) }, outer].compactMap({ $0 }) {
        change.bias = change.bias.map { $0 + term } ?? term
      }
      if branch.isSequential { chain[1] = Behind(map: chain[1], base: BaseFactor(base, at: site, as: scalar)) }
      change.chains.append(chain)
    }
    return change
  }
}

/// A map on what the base computes. As one factor, so that merging forms A_s·W [r_s, in] first and never B_s·A_s [out, out].
private struct Behind: LinearMap {
  let map: any LinearMap
  let base: BaseFactor

  var outputs: Int { map.outputs }
  var inputs: Int { base.inputs }
  func apply(_ x: Tensor) -> Tensor { map.apply(base.apply(x)) }
  func dense() -> Tensor { map.dense().multiplied(by: base.dense()) }
}

extension ParallelSequential: Approximating {
  /// The parallel pair takes the target alone: its best pair of rank r_p. The sequential branch starts without effect, which is
  /// best only where there is none: what it could reach depends on W.
  public func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    guard parallelRank > 0 else {
      throw Refusal(
        "a start from a matrix needs hydra's parallel branch: what the sequential one makes lies in the row space of the weight",
        remedy: "use r_par of at least 1")
    }
    guard factor > 0 else {
      throw Refusal("a start from a matrix needs a scale above 0, but scale is \(factor)", remedy: "use a positive scale")
    }
    let best = try BestPair(parallelRank, of: target, random)
    let (root, (up, down)) = ((1 / factor).squareRoot(), best.balanced)
    var tensors = Tensors()
    for spec in layout {
      // The sequential down factor must not be zero beside a zero up factor: neither would ever move.
      var stream = random.stream(spec.key.name)
      tensors[spec.key] = spec.fill.tensor(spec.shape, &stream)
    }
    tensors["hydra_par_A", site.id] = (down * root).converted(to: .float32)
    tensors["hydra_par_B", site.id] = (up * root).converted(to: .float32)
    return Approximation(tensors, error: best.error, isBest: best.isBest && sequentialRank == 0)
  }
}
