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
  /// Sets of sites to stand on, for methods that do not serve every shape.
  public var places: [[Site]] = Self.places
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

  /// Sites of odd shapes: single ones, with and without bias, and several at once.
  public static let places: [[Site]] = {
    func site(_ path: String, _ outputs: Int, _ inputs: Int, _ layer: Int, bias: Bool) -> Site {
      Site(id: SiteID(path), use: "attention.query", outputs: outputs, inputs: inputs, layer: layer, hasBias: bias)
    }
    return [
      [site("layers.0.wide", 24, 20, 0, bias: false)],
      [site("layers.0.odd", 17, 33, 0, bias: true)],
      [
        site("layers.0.first", 24, 20, 0, bias: true), site("layers.0.second", 24, 20, 0, bias: false),
        site("layers.1.third", 17, 33, 1, bias: true), site("layers.9.last", 16, 18, 9, bias: false),
      ],
    ]
  }()
}
