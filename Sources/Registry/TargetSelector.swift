import PEFTKernel

/// Which sites of a model a method stands at.
///
/// Names match as in Hugging Face PEFT: a name in a list stands for the module of that path and for every module whose path
/// ends with it (whole components: `_proj` is not `q_proj`); a string is a regular expression that must match the whole path.
/// A site that goes by several paths matches by any of them. Beside module names stand kinds, which every model maps to its own
/// names: `attention.query`, or `attention` for all of that group.
public struct TargetSelector: Sendable, Hashable {
  public enum Targets: Sendable, Hashable {
    /// Every linear map but the output head.
    case allLinear
    /// A regular expression for whole paths.
    case pattern(String)
    /// Module names, kinds and groups of kinds.
    case names([String])
  }

  /// What must match at least one site.
  public enum Demand: Sendable, Hashable {
    /// Every selector: what a user wrote by hand.
    case each
    /// One of them: what an entry proposes for all models.
    case any
  }

  /// The word for every linear map but the output head.
  public static let allLinear = "all-linear"

  public var targets: Targets
  /// Never `allLinear`; wins over `targets`.
  public var exclude: Targets?
  /// Layers to stay in; sites named by their whole path are not held to it, as in PEFT.
  public var layers: [Int]?
  public var demand: Demand

  public init(_ targets: Targets, exclude: Targets? = nil, layers: [Int]? = nil, demand: Demand = .each) {
    self.targets = targets
    self.exclude = exclude
    self.layers = layers
    self.demand = demand
  }

  /// The chosen sites, in the order of `sites`. Refuses selectors that match nothing and names the nearest that would.
  public func select(from sites: [Site]) throws(Refusal) -> [Site] {
    var faults: [Fault] = []
    let chosen = select(from: sites, faults: &faults)
    guard faults.isEmpty else { throw Refusal(faults.map(\.message).joined(separator: "; ")) }
    return chosen
  }

  /// A selector that matches nothing.
  public struct Fault: Sendable, Hashable {
    public enum Part: Sendable, Hashable {
      case targets
      case exclude
      case layers
    }
    public var part: Part
    /// Which item of the list.
    public var item: Int
    public var message: String
  }
}
