/// A registered choice on one axis: a name, the options it takes, and how it is made of them.
public struct AxisDefinition<Axis: Sendable>: Sendable {
  public let name: String
  public let summary: String
  public let options: [OptionSpec]
  /// Other values that choose it, as other tools write them: a boolean where they have a switch, say.
  public let aliases: [OptionValue]
  /// The file that defines it; two registrations of one name must come from one place.
  public let origin: String
  public let make: @Sendable (Options) throws(Refusal) -> Axis

  public init(
    _ name: String, _ summary: String, options: [OptionSpec] = [], aliases: [OptionValue] = [], origin: String = #fileID,
    make: @escaping @Sendable (Options) throws(Refusal) -> Axis
  ) {
    self.name = name
    self.summary = summary
    self.options = options
    self.aliases = aliases
    self.origin = origin
    self.make = make
  }

  /// Whether `value` is its name or one of its aliases.
  public func answers(to value: OptionValue) -> Bool { value == .string(name) || aliases.contains(value) }
}

/// What a target contributes: axes, optimizers, readers of reference files, and what PEFT calls its methods.
public struct Plugin: Sendable {
  public var name: String
  public var projections: [AxisDefinition<any Projection>]
  public var inits: [AxisDefinition<any InitStrategy>]
  public var optimizers: [AxisDefinition<any UpdateRule>]
  public var goldens: [GoldenReader]
  public var dialects: [Dialect]

  public init(
    _ name: String, projections: [AxisDefinition<any Projection>] = [], inits: [AxisDefinition<any InitStrategy>] = [],
    optimizers: [AxisDefinition<any UpdateRule>] = [], goldens: [GoldenReader] = [], dialects: [Dialect] = []
  ) {
    self.name = name
    self.projections = projections
    self.inits = inits
    self.optimizers = optimizers
    self.goldens = goldens
    self.dialects = dialects
  }
}

/// Every registered axis by name.
public struct AxisRegistry: Sendable {
  public private(set) var projections: [String: AxisDefinition<any Projection>] = [:]
  public private(set) var inits: [String: AxisDefinition<any InitStrategy>] = [:]
  public private(set) var optimizers: [String: AxisDefinition<any UpdateRule>] = [:]
  public private(set) var goldens: [GoldenReader] = []
  /// By `peft_type`.
  public private(set) var dialects: [String: Dialect] = [:]

  /// Collects what the plugins offer, beside what the kernel itself offers: no projection, and starts by fill.
  public init(_ plugins: [Plugin]) throws(Refusal) {
    for plugin in [Plugin.kernel] + plugins {
      for definition in plugin.projections { try Self.add(definition, to: &projections, "projection") }
      for definition in plugin.inits { try Self.add(definition, to: &inits, "init strategy") }
      for definition in plugin.optimizers { try Self.add(definition, to: &optimizers, "optimizer") }
      goldens += plugin.goldens
      for dialect in plugin.dialects {
        guard dialects[dialect.type].map({ $0 == dialect }) ?? true else {
          throw Refusal("two plugins say what PEFT's \(dialect.type) is, and do not agree")
        }
        dialects[dialect.type] = dialect
      }
    }
  }

  private static func add<Axis>(
    _ definition: AxisDefinition<Axis>, to table: inout [String: AxisDefinition<Axis>], _ kind: String
  ) throws(Refusal) {
    if let earlier = table[definition.name], earlier.origin != definition.origin {
      throw Refusal("\(kind) \(definition.name) is registered twice: in \(earlier.origin) and \(definition.origin)")
    }
    for value in definition.aliases + [.string(definition.name)] {
      guard let other = table.values.first(where: { $0.name != definition.name && $0.answers(to: value) }) else { continue }
      throw Refusal("\(kind)s \(other.name) and \(definition.name) are both called \(value.text)")
    }
    table[definition.name] = definition
  }

  /// The init strategy that a value chooses: by its own name, or by what other tools call it.
  public func initialization(called value: OptionValue) -> AxisDefinition<any InitStrategy>? {
    inits.values.first { $0.answers(to: value) }
  }
}

extension Plugin {
  static let kernel = Plugin(
    "kernel",
    projections: [
      AxisDefinition("none", "no adapter: the base's own tensors are trained") { (_) throws(Refusal) in NoProjection() }
    ],
    inits: [AxisDefinition("fill", "every tensor as its layout says") { (_) throws(Refusal) in FillStart() }])
}
