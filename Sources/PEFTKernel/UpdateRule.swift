import Engine

/// A tensor that is trained, as an optimizer sees it.
public struct Parameter: Sendable {
  /// Its name: an adapter's key, or a tensor of the base.
  public var name: String
  /// Nil for tensors of the base.
  public var role: Role?
  /// Whether weight decay applies.
  public var decays: Bool
  /// The values, updated in place by the rule.
  public var value: Tensor
  /// s of its site's change, ΔW = s·B·A, for factors; 1 for what has no scale.
  public var scale: Double
  /// For weights of the base that sites multiply by: the site. Nil for embeddings, norms and biases.
  public var site: Site?
  /// Whether such a weight is held as [inputs, outputs].
  public var isTransposed: Bool

  public init(
    name: String, role: Role?, decays: Bool, value: Tensor, scale: Double = 1, site: Site? = nil, isTransposed: Bool = false
  ) {
    self.name = name
    self.role = role
    self.decays = decays
    self.value = value
    self.scale = scale
    self.site = site
    self.isTransposed = isTransposed
  }
}

/// How parameters follow their gradients. A rule is a value; what it remembers is an `UpdateState`.
public protocol UpdateRule: Sendable {
  /// The state for these parameters, or a refusal naming the rule that excludes one of them.
  func begin(_ parameters: [Parameter]) throws(Refusal) -> any UpdateState
  /// Whether a step must be given the energies of every pair's gradient.
  var wantsEnergies: Bool { get }
}

extension UpdateRule {
  public var wantsEnergies: Bool { false }
}

/// What a step goes by beside the parameters' gradients.
public struct StepEvidence: Sendable {
  public var learningRate: Double
  /// By pair, for rules that want them.
  public var energies: [Pair: Energies]

  public init(learningRate: Double, energies: [Pair: Energies] = [:]) {
    self.learningRate = learningRate
    self.energies = energies
  }
}

/// The energies of G = ∂loss/∂(B·A) [outputs, inputs] over a whole step, as it is after clipping.
public struct Energies: Sendable {
  /// Σ_j G_ij² for every output i.
  public var rows: [Double]
  /// Σ_i G_ij² for every input j.
  public var columns: [Double]

  public init(rows: [Double], columns: [Double]) {
    self.rows = rows
    self.columns = columns
  }
}

/// What an optimizer remembers between steps.
public protocol UpdateState: AnyObject {
  /// One step: moves `parameters` (those given to `begin`, in order) against `gradients`.
  func step(_ parameters: [Parameter], _ gradients: [Tensor], _ evidence: StepEvidence)
  /// Every number remembered, by name, for a checkpoint. Values are shared, not copied.
  var tensors: [String: Tensor] { get }
  /// Everything remembered in bytes.
  var bytes: [String: [UInt8]] { get }
  /// Counters, for a checkpoint.
  var counters: [String: Int] { get }
  /// Takes over what a checkpoint held; refuses what does not fit.
  func restore(_ tensors: [String: Tensor], _ bytes: [String: [UInt8]], _ counters: [String: Int]) throws(Refusal)
}

extension UpdateState {
  public var bytes: [String: [UInt8]] { [:] }
}
