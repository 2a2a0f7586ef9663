/// The path of a place in a model, e.g. `model.layers.3.self_attn.q_proj`.
public struct SiteID: Hashable, Sendable, CustomStringConvertible, Comparable {
  public let path: String

  public init(_ path: String) { self.path = path }

  public var description: String { path }

  public static func < (a: SiteID, b: SiteID) -> Bool { a.path < b.path }
}

/// A place where an adapter may stand between a value and the map a model applies to it.
public struct Site: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// x ↦ x·Wᵀ + b with W [outputs, inputs].
    case linear
    /// A table [inputs, outputs] read by index: a linear map on one-hot rows.
    case embedding
  }

  public let id: SiteID
  /// What today's Python libraries call the module, which adapter files that they read are written for: its `id`, unless they have
  /// renamed it, or drop the family's prefix in a model without a head.
  public let modulePath: SiteID
  /// Every other path that the module has, or had, in those libraries: people and files may call the site by any of them.
  public let aliases: [SiteID]
  public let kind: Kind
  /// What the place is for, in words every model shares: `attention.query`, `mlp.down`, …
  public let use: String
  public let outputs: Int
  public let inputs: Int
  /// The transformer layer it stands in, nil outside of layers.
  public let layer: Int?
  public let hasBias: Bool
  /// Whether the base holds its weight in a few bits a number.
  public let isQuantized: Bool

  public init(
    id: SiteID, kind: Kind = .linear, use: String = "", outputs: Int, inputs: Int, layer: Int? = nil, hasBias: Bool = false,
    isQuantized: Bool = false, modulePath: SiteID? = nil, aliases: [SiteID] = []
  ) {
    self.id = id
    self.modulePath = modulePath ?? id
    self.aliases = aliases
    self.kind = kind
    self.use = use
    self.outputs = outputs
    self.inputs = inputs
    self.layer = layer
    self.hasBias = hasBias
    self.isQuantized = isQuantized
  }
}

extension Site {
  /// Every path that the site goes by, its own first, each once.
  public var paths: [String] {
    var paths = [id.path]
    for path in [modulePath.path] + aliases.map(\.path) where !paths.contains(path) { paths.append(path) }
    return paths
  }
}
