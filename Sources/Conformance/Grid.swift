import Engine
import PEFTKernel
import Registry
import Training

/// The whole grid of what can be composed, tried: every projection with every start, with every subset of its roles, and every method
/// with every optimizer. Each cell trains, or is refused by a rule that says why.
public struct Grid: Sendable {
  public enum Outcome: Sendable, Hashable {
    case trains
    /// The rule, without the names of the places where it struck.
    case refused(String)
    /// Runs, and says after the first step that nothing can move from where it starts: every gradient is zero there.
    case idle
    /// What should not happen: neither trained nor refused.
    case fails(String)
  }

  public struct Cell: Sendable, Hashable {
    public var row: String
    public var column: String
    public var outcome: Outcome
  }

  /// Projection × start.
  public var starts: [Cell] = []
  /// Projection × roles that are trained.
  public var subsets: [Cell] = []
  /// Method × optimizer.
  public var optimizers: [Cell] = []

  /// Tries every cell on a small model.
  public init(_ registry: MethodRegistry) throws {
    let projections = registry.axes.projections.values.filter { $0.name != "none" }.sorted { $0.name < $1.name }
    for (name, standard) in projections.flatMap({ Self.variants(of: $0, registry) }) {
      for start in registry.axes.inits.values.sorted(by: { $0.name < $1.name }) {
        var entry = standard
        entry.initialization = Self.choice(start)
        starts.append(Cell(row: name, column: start.name, outcome: Self.outcome(entry, "adamw", registry)))
      }
      for roles in Self.subsets(of: standard, registry) {
        var entry = standard
        entry.trainable = TrainableSubset(roles: Set(roles))
        let column = roles.joined(separator: "+")
        subsets.append(Cell(row: name, column: column, outcome: Self.outcome(entry, "adamw", registry)))
      }
    }
    for entry in registry.entries.values.sorted(by: { $0.name < $1.name }) {
      var small = entry
      small.projection.options.merge(Self.smallness(of: registry.axes.projections[entry.projection.name]?.options ?? [])) { $1 }
      small.initialization.options.merge(Self.smallness(of: registry.axes.inits[entry.initialization.name]?.options ?? [])) { $1 }
      for optimizer in registry.axes.optimizers.keys.sorted() {
        optimizers.append(Cell(row: entry.name, column: optimizer, outcome: Self.outcome(small, optimizer, registry)))
      }
    }
  }

  /// The projection with its own defaults, and with every switch turned that a method turns: a rule may hang on one.
  private static func variants(
    of projection: AxisDefinition<any Projection>, _ registry: MethodRegistry
  ) -> [(name: String, entry: MethodEntry)] {
    let standard = entry(of: projection, registry)
    var variants = [(projection.name, standard)]
    for method in registry.entries.values.sorted(by: { $0.name < $1.name }) where method.projection.name == projection.name {
      for spec in projection.options where spec.kind == .boolean {
        guard let value = method.projection.options[spec.name], value != spec.standard else { continue }
        var variant = standard
        variant.projection.options[spec.name] = value
        let name = "\(projection.name), \(spec.name): \(value.text)"
        if !variants.contains(where: { $0.0 == name }) { variants.append((name, variant)) }
      }
    }
    return variants
  }

  /// The projection with its own defaults, started and trained as the first method does that has it.
  private static func entry(of projection: AxisDefinition<any Projection>, _ registry: MethodRegistry) -> MethodEntry {
    let methods = registry.entries.values.filter { $0.projection.name == projection.name }.sorted { $0.name < $1.name }
    let method = methods.first { $0.name == projection.name } ?? methods.first
    var entry =
      method
      ?? MethodEntry(
        name: projection.name, projection: Choice(projection.name), initialization: Choice("fill"),
        trainable: TrainableSubset(roles: Set(Role.trainableNames)))
    entry.projection = choice(projection)
    if let start = registry.axes.inits[entry.initialization.name] { entry.initialization = choice(start) }
    return entry
  }

  /// Every role alone and all of them together, of the roles that the projection's tensors have.
  private static func subsets(of entry: MethodEntry, _ registry: MethodRegistry) -> [[String]] {
    guard let assembly = try? registry.assemble(entry), let shop = try? Workshop(entry, assembly),
      let layout = try? assembly.projection.layout(of: shop.sites)
    else { return [] }
    let roles = Role.trainableNames.filter { name in layout.contains { $0.role.name == name } }
    return roles.map { [$0] } + (roles.count > 1 ? [roles] : [])
  }

  private static func choice<Axis>(_ definition: AxisDefinition<Axis>) -> Choice {
    var options: [String: OptionValue] = [:]
    for spec in definition.options { options[spec.name] = spec.standard }
    return Choice(definition.name, options.merging(smallness(of: definition.options)) { $1 })
  }

  /// Options that fit maps of sixteen by sixteen and a handful of texts.
  private static func smallness(of options: [OptionSpec]) -> [String: OptionValue] {
    let small: [String: OptionValue] = [
      "rank": .int(2), "n_frequency": .int(20), "batches": .int(2), "batch_size": .int(2), "samples": .int(4),
    ]
    return small.filter { name, _ in options.contains { $0.name == name } }
  }

  private static func outcome(_ entry: MethodEntry, _ optimizer: String, _ registry: MethodRegistry) -> Outcome {
    do {
      let shop = try Workshop(entry, try registry.assemble(entry), learningRate: 1e-3)
      do {
        let adapter = try shop.adapter()
        let trainer = try shop.trainer(adapter, try registry.rule(optimizer, options: Law.smallRank(of: optimizer, registry)))
        if try trainer.takeStep().gradientNorm == 0 { return .idle }
        for _ in 0..<2 { _ = try trainer.takeStep() }
        let moved = !adapter.tensors.differences(from: trainer.adapter.tensors).isEmpty || !trainer.trainedBase.isEmpty
        return moved ? .trains : .fails("nothing moves")
      } catch let refusal as Refusal {
        return .refused(refusal.withoutPlaces(shop.sites))
      }
    } catch let refusal as Refusal {
      return .refused(refusal.description)
    } catch {
      return .fails("\(error)")
    }
  }
}

extension Refusal {
  /// The rule in words, whichever site it struck at.
  fileprivate func withoutPlaces(_ sites: [Site]) -> String {
    var text = description
    for site in sites.sorted(by: { $0.id.path.count > $1.id.path.count }) {
      text = text.split(separator: site.id.path, omittingEmptySubsequences: false).joined(separator: "SITE")
    }
    return text
  }
}
