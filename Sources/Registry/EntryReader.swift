import PEFTKernel
import YAML

/// Reads method entries: of files, of run files, of adapters, and of replacements for another entry's options.
struct EntryReader {
  let axes: AxisRegistry
  let entries: [String: MethodEntry]
  var reader: SchemaReader

  /// An entry in full, as a file in `methods/` has it; `name` stands where an inline entry gives none.
  mutating func entry(_ node: YAMLNode, path: String, named name: String? = nil) -> MethodEntry? {
    var specs = EntrySchema.keys
    if name != nil { specs[0].isRequired = false }
    let before = reader.log.issues.count
    let items = reader.section(node, specs, path: path)
    func text(_ key: String) -> String? {
      guard case .string(let text)? = items[SchemaReader.join(path, key)]?.value else { return nil }
      return text
    }
    let projection = choice(node["projection"], "projection", axes.projections, path)
    let initialization = choice(node["init"] ?? .string("fill"), "init", axes.inits, path)
    let subset = node["trainable"].flatMap { trainable($0, path) }
    let proposed = optimizer(node["optimizer"], path: SchemaReader.join(path, "optimizer"))
    guard reader.log.issues.count == before, let projection, let initialization, let subset, let proposed else { return nil }
    let title = text("name") ?? name ?? ""
    checkName(title, node)
    guard reader.log.issues.count == before else { return nil }
    return MethodEntry(
      name: title, paper: text("paper"), summary: text("summary"), projection: projection,
      initialization: initialization, trainable: subset,
      targets: node["targets"]?.items?.compactMap(\.text) ?? [TargetSelector.allLinear], optimizer: proposed,
      peftType: text("peft_type"))
  }

  /// Names become those of files and types.
  mutating func checkName(_ name: String, _ node: YAMLNode) {
    guard name.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9._-]*/) == nil else { return }
    let mark = (node["name"] ?? node).mark
    reader.log.add("a method cannot be named '\(name)': use letters, digits, '-', '_' and '.'", at: mark)
  }

  /// What `method` says in a run file.
  mutating func method(_ node: YAMLNode, path: String) -> MethodEntry? {
    if let name = node.asString { return known(name, at: node.mark) }
    guard node.entries != nil else {
      reader.wrong(node, path, KeySpec.Kind.method.text)
      return nil
    }
    guard let use = node["use"] else {
      if node["projection"] != nil { return entry(node, path: path, named: "inline") }
      reader.log.add(
        "`\(path)` needs `use` with an entry's name, or `projection` and `trainable` to be an entry of its own", at: node.mark)
      return nil
    }
    guard let name = use.asString else {
      reader.wrong(use, SchemaReader.join(path, "use"), "the name of a method")
      return nil
    }
    return known(name, at: use.mark).flatMap { overriding($0, node, path: path, aliases: false) }
  }

  private mutating func known(_ name: String, at mark: Mark) -> MethodEntry? {
    if let entry = entries[name] { return entry }
    reader.log.add("there is no method `\(name)`\(Nearest.remedy(for: name, among: entries.keys.sorted()))", at: mark)
    return nil
  }

  // MARK: Parts

  /// A choice on an axis. With `base`, options that are not given stay as they are there.
  mutating func choice<Axis>(
    _ node: YAMLNode?, _ key: String, _ table: [String: AxisDefinition<Axis>], _ path: String, base: Choice? = nil
  ) -> Choice? {
    guard let node else { return base }
    let here = SchemaReader.join(path, key)
    guard let (use, mark) = name(node, "use", here, base: base?.name) else { return nil }
    guard let definition = Self.definition(use, table) else {
      let word = use.text
      reader.log.add("unknown \(key) `\(word)`\(Nearest.remedy(for: word, among: table.keys.sorted()))", at: mark)
      return nil
    }
    let name = definition.name
    let given = (node.entries ?? []).filter { $0.key.text != "use" }
    let old = base.map { $0.name == name ? $0.options : [:] } ?? [:]
    guard let options = options(given, definition.options, here, old: old, known: ["use"]) else { return nil }
    return made(definition, options, at: node.mark) ? Choice(name, options) : nil
  }

  /// The definition of that name, or the one that answers to it; `true` where nothing does is a start by fill.
  private static func definition<Axis>(_ use: OptionValue, _ table: [String: AxisDefinition<Axis>]) -> AxisDefinition<Axis>? {
    if let definition = table[use.text] { return definition }
    let answering = table.keys.sorted().compactMap { table[$0] }.first { $0.answers(to: use) }
    return answering ?? (use == .bool(true) ? table["fill"] : nil)
  }

  /// The name in a scalar, or under `key` of a mapping. `init: true` is one, too, so it need be no string.
  private mutating func name(_ node: YAMLNode, _ key: String, _ path: String, base: String?) -> (OptionValue, Mark)? {
    func value(_ node: YAMLNode) -> OptionValue? {
      switch OptionValue(node) {
      case .string(""), .null, .list, .map: nil
      case let value: value
      }
    }
    if node.entries == nil {
      if let value = value(node) { return (value, node.mark) }
      reader.wrong(node, path, "a name, or a mapping with `\(key)`")
      return nil
    }
    if let use = node[key] {
      if let value = value(use) { return (value, use.mark) }
      reader.wrong(use, SchemaReader.join(path, key), "a name")
      return nil
    }
    if let base { return (.string(base), node.mark) }
    reader.log.add("`\(SchemaReader.join(path, key))` is missing: a registered name", at: node.mark)
    return nil
  }

  /// Checked options: defaults, replaced by `old`, replaced by what is given.
  mutating func options(
    _ given: [YAMLNode.Entry], _ specs: [OptionSpec], _ path: String, old: [String: OptionValue] = [:], known: [String] = []
  ) -> [String: OptionValue]? {
    var values = Dictionary(specs.map { ($0.name, old[$0.name] ?? $0.standard) }) { first, _ in first }
    let before = reader.log.issues.count
    for entry in given {
      guard let spec = specs.first(where: { $0.name == entry.key.text }) else {
        reader.unknown(entry.key, among: known + specs.map(\.name), path: path, options: specs)
        continue
      }
      if let value = value(entry.value, spec, path) { values[spec.name] = value }
    }
    return reader.log.issues.count == before ? values : nil
  }

  private mutating func value(_ node: YAMLNode, _ spec: OptionSpec, _ path: String) -> OptionValue? {
    var shown = spec
    shown.name = SchemaReader.join(path, spec.name)
    return reader.checked(node, shown)
  }

  /// Whether the options go together, as the axis itself says.
  mutating func made<Axis>(_ definition: AxisDefinition<Axis>, _ options: [String: OptionValue], at mark: Mark) -> Bool {
    var options = options
    // Words become numbers when a run knows its model.
    for spec in definition.options where spec.kind == .embedding {
      if case .string? = options[spec.name] { options[spec.name] = .list([.double(1)]) }
    }
    do {
      // Defaults of a stranger's table are checked here, too: `make` may take them for granted.
      _ = try definition.make(Options(options, checkedBy: definition.options))
      return true
    } catch {
      reader.log.add("\(definition.name): \(error)", at: mark)
      return false
    }
  }

  mutating func trainable(_ node: YAMLNode, _ path: String) -> TrainableSubset? {
    let words = Role.trainableNames + TrainableSubset.baseWords
    var roles: Set<String> = []
    var modules: [String] = []
    var isSound = true
    for item in node.items ?? [node] {
      if let module = item.text.flatMap(TrainableSubset.module) {
        modules.append(module)
        continue
      }
      guard let word = item.text, words.contains(word) else {
        isSound = false
        if let word = item.asString {
          reader.log.add("unknown role `\(word)` in `trainable`\(Nearest.remedy(for: word, among: words))", at: item.mark)
        }
        continue
      }
      roles.insert(word)
    }
    guard isSound, !roles.isEmpty || !modules.isEmpty else { return nil }
    let subset = TrainableSubset(words: roles, modules: modules)
    if subset.base, subset.takesBase {
      reader.log.add("`base` in `trainable` is every tensor of the base: name no others of it", at: node.mark)
      return nil
    }
    return subset
  }

  /// What an entry proposes: a name, or a mapping of `name`, `lr` and the optimizer's options.
  mutating func optimizer(_ node: YAMLNode?, path: String, base: OptimizerChoice? = nil) -> OptimizerChoice? {
    let node = node ?? (base == nil ? .string("adamw") : .mapping([]))
    guard let (given, mark) = name(node, "name", path, base: base?.name) else { return nil }
    let name = given.text
    let isSame = base?.name == name
    var rate = isSame ? base?.learningRate : nil
    var own = (node.entries ?? []).filter { $0.key.text != "name" }
    let before = reader.log.issues.count
    if let at = own.firstIndex(where: { $0.key.text == "lr" }) {
      let spec = OptionSpec("lr", .number(0...1000), default: .null, "")
      rate = value(own.remove(at: at).value, spec, path)?.number
    }
    guard
      let options = optimizerOptions(
        name, own, path, old: isSame ? base?.options ?? [:] : [:], known: ["name", "lr"], at: mark, whole: node.mark),
      reader.log.issues.count == before
    else { return nil }
    return OptimizerChoice(name, learningRate: rate, options: options)
  }

  mutating func optimizerOptions(
    _ name: String, _ given: [YAMLNode.Entry], _ path: String, old: [String: OptionValue], known: [String], at mark: Mark,
    whole: Mark
  ) -> [String: OptionValue]? {
    guard let definition = axes.optimizers[name] else {
      // A registry without optimizers serves readers of adapters, who need none.
      if axes.optimizers.isEmpty {
        return Dictionary(given.map { ($0.key.text ?? "", OptionValue($0.value)) }) { first, _ in first }
      }
      reader.log.add("unknown optimizer `\(name)`\(Nearest.remedy(for: name, among: axes.optimizers.keys.sorted()))", at: mark)
      return nil
    }
    guard let options = options(given, definition.options, path, old: old, known: known) else { return nil }
    return made(definition, options, at: whole) ? options : nil
  }
}
