import Files
import JSON
import Models
import PEFTKernel
import Registry

/// The fields of an `adapter_config.json` that is written anew.
struct PEFTConfig {
  /// Where the base lies.
  static let baseKey = "base_model_name_or_path"

  private(set) var fields: [String: JSON]

  var members: [JSON.Member] { fields.map { .init($0.key, $0.value) } }

  /// Fields that every adapter has.
  init(
    peftType: String, sites: [Site], model: any Model, subset: TrainableSubset = TrainableSubset(roles: [])
  ) {
    let saved = Set(model.tensors(of: subset, at: sites))
    let savesHead = model.sites.allSatisfy { $0.use != "head" || saved.contains($0.id.path + ".weight") }
    let task = PEFTTask.word(for: model, savesHead: savesHead)
    fields = [
      "peft_type": .string(peftType), "task_type": task, "inference_mode": true,
      Self.baseKey: .string(model.directory.path),
      "target_modules": .array(PEFTTargets.names(of: sites, among: model.adaptable).map(JSON.string)),
      // One flag for all: PEFT itself looks at each module.
      "fan_in_fan_out": .bool(!sites.isEmpty && sites.allSatisfy { model.base($0.id).isTransposed }),
    ]
    fields.merge(PEFTBaseTensors.fields(subset, peftType: peftType, model)) { $1 }
    // As PEFT has it.
    if task.isNull { fields["auto_mapping"] = PEFTTask.mapping(for: model) }
  }

  /// The method in PEFT's words where PEFT has it.
  init(_ adapter: Adapter, _ entry: MethodEntry, _ registry: MethodRegistry, _ model: any Model) {
    guard let dialect = Self.dialect(for: adapter, entry, registry) else {
      self.init(peftType: Self.ownType(entry, registry), sites: adapter.sites, model: model, subset: entry.trainable)
      if !entry.trainable.takesBase { (fields["bias"], fields["modules_to_save"]) = (nil, nil) }
      fields["fan_in_fan_out"] = nil
      return
    }
    self.init(peftType: dialect.peftType, sites: adapter.sites, model: model, subset: entry.trainable)
    fields.merge(dialect.marks) { $1 }
    for spec in registry.axes.projections[entry.projection.name]?.options ?? [] {
      guard let value = entry.projection.options[spec.name], value != .null else { continue }
      let names = spec.aliases + [OptionSpec.Alias(spec.name)]
      guard let alias = names.first(where: { dialect.options[$0.name] != nil }) else { continue }
      let theirs = alias.values.first { $0.value == value }?.key ?? value
      fields[alias.name] = Self.plain(theirs.json, like: dialect.options[alias.name] ?? .null)
    }
    if let field = dialect.startField { fields[field] = Self.start(entry, registry) }
    if dialect.peftType == PEFTDialect.lora.peftType { expandPatterns(adapter) }
    if let counts = dialect.said?.counts { count(counts, adapter) }
  }

  /// The dialect that says all of the method, so that PEFT computes the same from the same files.
  private static func dialect(for adapter: Adapter, _ entry: MethodEntry, _ registry: MethodRegistry) -> PEFTDialect? {
    guard adapter.offset == nil, let type = entry.peftType, let dialect = PEFTDialect.all(registry)[type],
      dialect.implied.allSatisfy({ entry.projection.options[$0.key] == $0.value }),
      dialect.said?.refusesTransposed != true || !adapter.sites.contains(where: { adapter.bases[$0.id].isTransposed })
    else { return nil }
    return dialect
  }

  /// A type that PEFT does not know, so that it refuses the files instead of computing something else.
  private static func ownType(_ entry: MethodEntry, _ registry: MethodRegistry) -> String {
    let type = entry.peftType ?? String(entry.name.uppercased().map { $0 == "-" ? "_" : $0 })
    return PEFTDialect.all(registry)[type] == nil ? type : "SWIFT_" + type
  }

  /// What PEFT calls the start. Adapters come with their values, so a start that PEFT does not know is written as the usual one.
  private static func start(_ entry: MethodEntry, _ registry: MethodRegistry) -> JSON {
    if let alias = registry.axes.inits[entry.initialization.name]?.aliases.first { return alias.json }
    return ["gaussian", "orthogonal"].contains(entry.initialization.name) ? .string(entry.initialization.name) : true
  }

  /// Whole numbers without a point where PEFT writes them so.
  private static func plain(_ value: JSON, like standard: JSON) -> JSON {
    guard case .int = standard, let whole = value.int else { return value }
    return .int(whole)
  }

  /// Counts as the tensors have them, those of single sites by whole paths.
  private mutating func count(_ counts: Dialect.Counts, _ adapter: Adapter) {
    // Ours may follow from the model's size; PEFT wants the number.
    if let vector = adapter.tensors.optional(counts.tensor) { fields[counts.option] = .int(vector.count) }
    guard let pattern = counts.pattern, counts.unless.flatMap({ fields[$0] }) != true else { return }
    let own = adapter.sites.compactMap { site -> JSON.Member? in
      guard let tensor = adapter.tensors.optional(counts.tensor, site.id), .int(tensor.count) != fields[counts.option] else {
        return nil
      }
      return .init(site.modulePath.path, .int(tensor.count))
    }
    fields[pattern] = .object(own)
  }

  /// What PEFT calls the factors of a site.
  static func factors(at site: Site) -> (down: String, up: String) {
    site.kind == .embedding ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A.weight", "lora_B.weight")
  }

  /// Patterns by whole paths: PEFT's files lose the order that overlapping ones depend on.
  private mutating func expandPatterns(_ adapter: Adapter) {
    let projection = adapter.parameterization.projection
    let given = fields["alpha_pattern"]?.members?.compactMap(\.value.double) ?? []
    let common = (rank: fields["r"]?.int ?? 0, alpha: fields["lora_alpha"]?.double ?? 0)
    var (ranks, alphas): ([JSON.Member], [JSON.Member]) = ([], [])
    for site in adapter.sites {
      guard let rank = adapter.tensors.optional(Self.factors(at: site).down, site.id)?.rows else { continue }
      if rank != common.rank { ranks.append(.init(site.modulePath.path, .int(rank))) }
      let divisor = fields["use_rslora"] == true ? Double(rank).squareRoot() : Double(rank)
      let product = projection.scale(at: site) * divisor
      // The scale was rounded: the number that was meant is among those given.
      let alpha = ([common.alpha] + given).first { abs($0 - product) <= 1e-12 * abs(product) } ?? product
      if alpha != common.alpha { alphas.append(.init(site.modulePath.path, Self.plain(.double(alpha), like: 8))) }
    }
    fields["rank_pattern"] = .object(ranks)
    fields["alpha_pattern"] = .object(alphas)
  }
}

extension PEFTConfig {
  /// A plain LoRA with these ranks and alphas by site.
  init(
    ranks: [Int], alphas: [Double], hasBias: Bool, sites: [Site], model: any Model,
    subset: TrainableSubset = TrainableSubset(roles: [])
  ) {
    self.init(peftType: PEFTDialect.lora.peftType, sites: sites, model: model, subset: subset)
    let (rank, alpha) = (Self.commonest(ranks) ?? 1, Self.commonest(alphas) ?? 1)
    fields["r"] = .int(rank)
    fields["lora_alpha"] = Self.plain(.double(alpha), like: 8)
    fields["use_rslora"] = false
    fields["lora_dropout"] = 0.0
    fields["lora_bias"] = .bool(hasBias)
    fields["init_lora_weights"] = true
    func pattern(_ values: [(Site, JSON)]) -> JSON { .object(values.map { .init($0.modulePath.path, $1) }) }
    fields["rank_pattern"] = pattern(zip(sites, ranks).filter { $1 != rank }.map { ($0, .int($1)) })
    fields["alpha_pattern"] = pattern(zip(sites, alphas).filter { $1 != alpha }.map { ($0, Self.plain(.double($1), like: 8)) })
  }

  private static func commonest<Value: Hashable & Comparable>(_ values: [Value]) -> Value? {
    let counts = Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
    return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
  }
}
