/// What a tensor does in an adapter. Optimizers, trainable subsets and converters select by role, never by name.
public enum Role: Hashable, Sendable {
  /// The factor that reads the input, [rank, inputs]; with its partner if the two occur only as their product.
  case down(Pair?)
  /// The factor that writes the output, [outputs, rank].
  case up(Pair?)
  /// A small matrix between factors.
  case core
  /// One number for each of some fixed directions: scales and shifts of a spectrum.
  case diagonal
  /// The length of every output row.
  case magnitude
  /// Values at chosen places of a matrix.
  case entries
  /// A vector that everything else is generated from.
  case vector
  /// Numbers that act through a map that is not linear in them.
  case hidden
  /// Tensors of a network that chooses: keys, queries, gates.
  case router
  case bias
  case scalar
  /// Frozen numbers that say where other numbers go.
  case index
  /// Frozen directions that trained numbers are coordinates in, taken from weights or evidence.
  case basis
  /// Frozen numbers the run is defined by.
  case constant

  /// The word for it in YAML.
  public var name: String {
    switch self {
    case .down: "factor-a"
    case .up: "factor-b"
    case .core: "core"
    case .diagonal: "diagonal"
    case .magnitude: "magnitude"
    case .entries: "entries"
    case .vector: "vector"
    case .hidden: "hidden"
    case .router: "router"
    case .bias: "bias"
    case .scalar: "scalar"
    case .index: "index"
    case .basis: "basis"
    case .constant: "constant"
    }
  }

  /// The words for the roles that can be trained.
  public static let trainableNames = [
    "factor-a", "factor-b", "core", "diagonal", "magnitude", "entries", "vector", "hidden", "router", "bias", "scalar",
  ]
}

extension Role {
  /// The pair whose factor this is.
  public var pair: Pair? {
    switch self {
    case .down(let pair), .up(let pair): pair
    default: nil
    }
  }
}

/// A promise: the two factors that carry it occur only as the product up·down, which is what paired optimizers need.
public struct Pair: Hashable, Sendable {
  public let id: String

  public init(_ id: String) { self.id = id }
}

/// Which tensors move: roles of the adapter's tensors, and tensors of the base by name.
public struct TrainableSubset: Sendable, Hashable {
  /// Names of roles.
  public var roles: Set<String>
  /// Whether every tensor of the base is trained in full; what becomes of them is a model.
  public var base: Bool
  /// Modules of the base that are trained in full and belong to the adapter: those whose paths end with one of these.
  public var modules: [String]
  /// Biases of the base that are trained and belong to the adapter.
  public var biases: Biases

  public enum Biases: String, Sendable, Hashable, CaseIterable {
    case none
    /// Those of the adapted sites.
    case sites
    case all
  }

  public init(roles: Set<String>, base: Bool = false, modules: [String] = [], biases: Biases = .none) {
    self.roles = roles
    self.base = base
    self.modules = modules
    self.biases = biases
  }

  public func contains(_ role: Role) -> Bool { roles.contains(role.name) }
}
