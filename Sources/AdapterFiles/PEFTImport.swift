import Files
import JSON
import Models
import PEFTKernel
import Registry

/// The method and the sites that a config of PEFT's own describes.
struct PEFTImport {
  private(set) var entry: MethodEntry
  let sites: [Site]
  private(set) var notes: [String] = []
  let dialect: PEFTDialect
  /// Rows of tables that the files bring along.
  let tokens: PEFTTokenRows
  /// Whether the tensors stand beside a base that gave way to their start, which the entry's start finds again.
  private(set) var rebuildsBase = false

  /// Refuses by name what this project does not compute as PEFT would.
  init(_ folder: AdapterFolder, _ model: any Model, _ registry: MethodRegistry) throws(FileError) {
    dialect = try Self.dialect(folder, registry)
    let config = folder.config
    for demand in dialect.demands {
      guard let value = config[demand.field], !demand.isServed(value) else { continue }
      throw FileError(
        .badData, folder.configPath, "\(demand.field): is not supported", cause: "it is \(value.text())",
        remedy: demand.remedy.isEmpty ? "merge the adapter in PEFT" : demand.remedy)
    }
    try Self.checkStart(folder, dialect)
    try Self.checkTask(folder, model, &notes)
    let known = dialect.fields
    let unknown = (config.members ?? []).map(\.key).filter { !known.contains($0) }.sorted()
    if !unknown.isEmpty {
      notes.append("\(AdapterFolder.configName): passed over fields that are not known: \(unknown.joined(separator: ", "))")
    }
    var subset = try PEFTBaseTensors.subset(folder, model, roles: [], &notes)
    tokens = try PEFTTokenRows(folder, model)
    try tokens.extend(&subset, model, folder, &notes)
    sites = try PEFTTargets.sites(folder, model, subset, dialect.said, &notes)
    var overrides = dialect.implied
    for (field, standard) in dialect.options {
      var given = config[field] ?? standard
      if given.isNull { given = standard }
      guard let value = OptionValue(given) else {
        throw FileError(.badData, folder.configPath, "\(field): cannot be \(given.text())")
      }
      overrides[field] = value
    }
    if let said = dialect.said {
      var form = PEFTForm(said: said, folder: folder, sites: sites, options: overrides)
      try form.settle(on: model)
      overrides = form.options
      notes += form.notes
    }
    let name: String
    do throws(Refusal) { name = try Self.entryName(dialect.key, registry) } catch {
      throw FileError(.badData, folder.configPath, "peft_type: \(error.reason)", remedy: error.remedy)
    }
    if dialect.peftType == PEFTDialect.lora.peftType {
      var patterns = PEFTPatterns(folder: folder, sites: sites, options: overrides)
      try patterns.settle(on: model)
      overrides = patterns.options
      notes += patterns.notes
      // PEFT bounds no rank; where ours bounds it, an option lifts that.
      let ranks = [overrides["r"], overrides["rank_pattern"]].flatMap { value in
        if case .map(let table)? = value { table.values.compactMap(\.number) } else { [value?.number ?? 0] }
      }
      let smallest = sites.map { min($0.inputs, $0.outputs) }.min() ?? 0
      if dialect.key == PEFTDialect.lora.key, ranks.contains(where: { $0 > Double(smallest) }) {
        overrides["allow_excess_rank"] = .bool(true)
      }
    }
    do throws(Refusal) {
      entry = try registry.entry(name, overriding: overrides)
    } catch {
      throw FileError(.badData, folder.configPath, error.reason, remedy: error.remedy.isEmpty ? nil : error.remedy)
    }
    (entry.trainable.modules, entry.trainable.biases) = (subset.modules, subset.biases)
    try readStart(folder, model, registry)
  }

  /// How the tensors started. Where the base gave way to it, the base is changed again: PEFT decomposes the weights anew as well.
  private mutating func readStart(
    _ folder: AdapterFolder, _ model: any Model, _ registry: MethodRegistry
  ) throws(FileError) {
    guard let field = dialect.startField, let word = folder.config[field] else { return }
    var value = word
    if let name = word.string, name.hasPrefix("pissa_niter_") {
      value = "pissa"
      notes.append(
        "\(field): '\(name)' drew a base near the one that the exact decomposition gives, which is used; convert the adapter in "
          + "PEFT to have it as it was")
    }
    guard let start = OptionValue(value).flatMap({ registry.axes.initialization(called: $0) }) else { return }
    rebuildsBase = value == "pissa" || value == "olora"
    guard !rebuildsBase || dialect.marks.isEmpty else {
      throw FileError(
        .badData, folder.configPath,
        "\(field): \(word.text()) does not go with \(dialect.marks.keys.sorted().joined(separator: ", ")) here",
        remedy: "convert the adapter in PEFT, or merge it there")
    }
    if rebuildsBase {
      entry.initialization = Choice(start.name, Dictionary(start.options.map { ($0.name, $0.standard) }) { first, _ in first })
    } else if start.options.isEmpty {
      entry.initialization = Choice(start.name)
    }
    // PEFT decomposes what GPT-2 stores without turning it over.
    if value == "olora", let site = sites.first(where: { model.base($0.id).isTransposed }) {
      throw FileError(
        .badData, folder.configPath,
        "\(field): 'olora' changes the base at \(site.id) by a decomposition of its transpose in PEFT",
        remedy: "convert the adapter in PEFT: save_pretrained with path_initial_model_for_weight_conversion")
    }
  }

  private static func dialect(_ folder: AdapterFolder, _ registry: MethodRegistry) throws(FileError) -> PEFTDialect {
    guard let type = folder.config["peft_type"]?.string else {
      throw FileError(
        .badData, folder.configPath, "has no peft_type", remedy: "is this an adapter of Hugging Face PEFT's layout?")
    }
    if let dialect = PEFTDialect.of(folder.config, registry) { return dialect }
    throw FileError(
      .badData, folder.configPath, "peft_type: '\(type)' cannot be read",
      cause:
        "without a \(AdapterRecord.key) record these can: \(Set(PEFTDialect.all(registry).values.map(\.peftType)).sorted().joined(separator: ", "))",
      remedy: "convert the adapter to LORA, or merge it in PEFT")
  }

  /// The entry whose adapters PEFT calls so; of several, the one of the same name.
  static func entryName(_ type: String, _ registry: MethodRegistry) throws(Refusal) -> String {
    func plain(_ name: String) -> String { name.lowercased().filter { $0 != "-" && $0 != "_" } }
    let names = registry.entries.values.filter { $0.peftType == type }.map(\.name).sorted()
    guard let name = names.first(where: { plain($0) == plain(type) }) ?? names.first else {
      throw Refusal("no registered method reads '\(type)'", remedy: "register an entry with peft_type: \(type)")
    }
    return name
  }

  /// Starts that change the base: the files hold A and B for the changed one, which must be rebuilt first.
  private static func checkStart(_ folder: AdapterFolder, _ dialect: PEFTDialect) throws(FileError) {
    guard let field = dialect.startField, let value = folder.config[field] else { return }
    func refused(_ what: String, _ remedy: String) -> FileError {
      FileError(.badData, folder.configPath, "\(field): \(what)", remedy: remedy)
    }
    let conversion = "convert it in PEFT: save_pretrained with path_initial_model_for_weight_conversion"
    switch value {
    case .null, .bool, "gaussian", "orthogonal", "eva", "mica", "pissa", "olora": return
    case .string(let name) where name.hasPrefix("pissa_niter_") && Int(name.dropFirst("pissa_niter_".count)) != nil: return
    case "lora_ga", "corda":
      throw refused(
        "'\(value.string ?? "")' adapters belong to a base that is changed by their start, which cannot be known from these files",
        conversion)
    case "loftq":
      throw refused("'loftq' adapters belong to a quantised base that is not in these files", "merge the adapter in PEFT")
    default: throw refused("\(value.text()) is no start that is known", "convert the adapter in PEFT")
    }
  }

  private static func checkTask(_ folder: AdapterFolder, _ model: any Model, _ notes: inout [String]) throws(FileError) {
    let types = ["CAUSAL_LM", "FEATURE_EXTRACTION", "QUESTION_ANS", "SEQ_2_SEQ_LM", "SEQ_CLS", "TOKEN_CLS"]
    let value = folder.config["task_type"] ?? .null
    guard !value.isNull, value != PEFTTask.word(for: model) else { return }
    guard let type = value.string, types.contains(type) else {
      throw FileError(
        .badData, folder.configPath, "task_type: is \(value.text())", remedy: "known: \(types.joined(separator: ", "))")
    }
    notes.append("task_type is \(type): the adapter is used in \(PEFTTask.text(for: model)) all the same")
  }
}
