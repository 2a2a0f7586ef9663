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

  public init(name: String, role: Role?, decays: Bool, value: Tensor) {
    self.name = name
    self.role = role
    self.decays = decays
    self.value = value
  }
}

/// How parameters follow their gradients. A rule is a value; what it remembers is an `UpdateState`.
public protocol UpdateRule: Sendable {
  /// The state for these parameters, or a refusal naming the rule that excludes one of them.
  func begin(_ parameters: [Parameter]) throws(Refusal) -> any UpdateState
}

/// What an optimizer remembers between steps.
public protocol UpdateState: AnyObject {
  /// One step: moves `parameters` (those given to `begin`, in order) against `gradients` at the given rate.
  func step(_ parameters: [Parameter], _ gradients: [Tensor], learningRate: Double)
  /// Everything remembered, by name, for a checkpoint. Values are shared, not copied.
  var tensors: [String: Tensor] { get }
  /// Counters, for a checkpoint.
  var counters: [String: Int] { get }
  /// Takes over what a checkpoint held; refuses what does not fit.
  func restore(_ tensors: [String: Tensor], _ counters: [String: Int]) throws(Refusal)
}
