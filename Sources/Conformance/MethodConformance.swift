import PEFTKernel
import Registry

/// A method as the suite meets it: the registry that holds it, and what its author promises about it.
///
/// The promises are written down here a second time on purpose: a suite that read them from the method would only find
/// the method equal to itself.
public struct MethodConformance: Sendable {
  /// What the three axes are called, and the roles that move.
  public struct Axes: Sendable, Hashable {
    public var projection: String
    public var initialization: String
    public var trainable: Set<String>

    public init(projection: String, initialization: String, trainable: Set<String>) {
      self.projection = projection
      self.initialization = initialization
      self.trainable = trainable
    }
  }

  /// Whether the adapter's change fits into the weight.
  public enum Merge: Sendable, Hashable {
    case exact
    /// Refused, with a reason that contains this.
    case refused(because: String)
  }

  public var registry: MethodRegistry
  /// The entry's name.
  public var entry: String
  public var axes: Axes
  /// Options to run the entry with, small ranks above all: one run per case.
  public var cases: [[String: OptionValue]]
  /// Count of trained numbers over some sites, by the paper's formula. Options are the projection's, defaults filled in.
  public var parameterCount: @Sendable (_ sites: [Site], _ options: Options) -> Int
  /// Paths of reference files.
  public var goldens: [String] = []
  public var merge: Merge = .exact
  /// Whether the start depends on the seed; a start that evidence alone determines does not.
  public var drawsStart = true
  /// How far from the base's output a start that is only near it may be, relative to that output.
  public var startBound = 0.1
  /// A rate at which AdamW makes the loss fall within twenty steps.
  public var learningRate = 1e-2
  /// Whether a step may form a matrix of a weight's size.
  public var formsDenseUpdates = false

  public init(
    registry: MethodRegistry, entry: String, axes: Axes, cases: [[String: OptionValue]],
    parameterCount: @escaping @Sendable (_ sites: [Site], _ options: Options) -> Int
  ) {
    self.registry = registry
    self.entry = entry
    self.axes = axes
    self.cases = cases
    self.parameterCount = parameterCount
  }
}
