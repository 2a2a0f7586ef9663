import PEFTKernel
import YAML

extension EntryReader {
  /// An entry with what `node` says in place of its own: parts by their keys (`projection`, `init`, `trainable`, `targets`,
  /// `optimizer`), or options of the axes without saying of which.
  ///
  /// A bare option goes to the projection, the init strategy or the optimizer, whichever has it; where two have it, neither gets
  /// it. With `aliases` the names that other programs use count too.
  mutating func overriding(_ entry: MethodEntry, _ node: YAMLNode, path: String, aliases: Bool) -> MethodEntry? {
    var entry = entry
    let before = reader.log.issues.count
    replaceParts(of: &entry, node, path)
    // Another projection or start that is wrong leaves open which options there are.
    let isSettled = node["projection"] == nil && node["init"] == nil
    guard isSettled || reader.log.issues.count == before else { return nil }

    var given: [Axis: [YAMLNode.Entry]] = [:]
    for bare in node.entries ?? [] where !Self.parts.contains(bare.key.text ?? "") {
      guard let (axis, option) = locate(bare, entry, path, aliases) else { continue }
      if given[axis, default: []].contains(where: { $0.key.text == option.key.text }) {
        reader.log.add("`\(option.key.text ?? "")` is given twice, once as `\(bare.key.text ?? "")`", at: bare.key.mark)
      }
      given[axis, default: []].append(option)
    }
    func mapping(_ axis: Axis) -> YAMLNode? { given[axis].map { YAMLNode(.mapping($0), mark: node.mark) } }
    // The user wrote the options bare, so their messages say `method.rank`, not `method.projection.rank`.
    if let new = flat(mapping(.projection), axes.projections, path, entry.projection) { entry.projection = new }
    if let new = flat(mapping(.initialization), axes.inits, path, entry.initialization) { entry.initialization = new }
    if let new = optimizer(mapping(.optimizer), path: path, base: entry.optimizer) { entry.optimizer = new }
    return reader.log.issues.count == before ? entry : nil
  }

  private static let parts: Set = [
    "use", "name", "paper", "summary", "projection", "init", "trainable", "targets", "optimizer", "peft_type",
  ]

  private enum Axis {
    case projection
    case initialization
    case optimizer
  }

  private mutating func replaceParts(of entry: inout MethodEntry, _ node: YAMLNode, _ path: String) {
    let specs = EntrySchema.keys.map { spec in
      var spec = spec
      spec.isRequired = false
      spec.standard = .null
      return spec
    }
    let bare = Set((node.entries ?? []).compactMap(\.key.text)).subtracting(Self.parts)
    let items = reader.section(node, specs, path: path, others: bare.union(["use"]))
    func text(_ key: String) -> String? {
      guard case .string(let text)? = items[SchemaReader.join(path, key)]?.value else { return nil }
      return text
    }
    entry.name = text("name") ?? entry.name
    checkName(entry.name, node)
    entry.paper = text("paper") ?? entry.paper
    entry.summary = text("summary") ?? entry.summary
    entry.peftType = text("peft_type") ?? entry.peftType
    if let new = choice(node["projection"], "projection", axes.projections, path, base: entry.projection) {
      // What PEFT's files call the one projection says nothing of another.
      if new.name != entry.projection.name { entry.peftType = text("peft_type") }
      entry.projection = new
    }
    if let new = choice(node["init"], "init", axes.inits, path, base: entry.initialization) { entry.initialization = new }
    if let new = node["trainable"].flatMap({ trainable($0, path) }) { entry.trainable = new }
    if let new = node["targets"]?.items?.compactMap(\.text) { entry.targets = new }
    if let part = node["optimizer"],
      let new = optimizer(part, path: SchemaReader.join(path, "optimizer"), base: entry.optimizer)
    {
      entry.optimizer = new
    }
  }

  /// The axis that has the option, and the option under its own name.
  private mutating func locate(
    _ bare: YAMLNode.Entry, _ entry: MethodEntry, _ path: String, _ aliases: Bool
  ) -> (Axis, YAMLNode.Entry)? {
    let rate = OptionSpec("lr", .number(0...1000), default: .null, "", aliases: [.init("learning_rate")])
    let tables: [(axis: Axis, name: String, specs: [OptionSpec])] = [
      (.projection, "projection", axes.projections[entry.projection.name]?.options ?? []),
      (.initialization, "init", axes.inits[entry.initialization.name]?.options ?? []),
      (.optimizer, "optimizer", [rate] + (axes.optimizers[entry.optimizer.name]?.options ?? [])),
    ]
    let word = bare.key.text ?? ""
    var found = tables.filter { $0.specs.contains { $0.name == word } }
    var key = word
    var value = bare.value
    if found.isEmpty, aliases {
      found = tables.filter { $0.specs.contains { $0.aliases.contains { $0.name == word } } }
      if let spec = found.first?.specs.first(where: { $0.aliases.contains { $0.name == word } }),
        let alias = spec.aliases.first(where: { $0.name == word })
      {
        key = spec.name
        let mark = value.mark
        value = alias.values[OptionValue(value)]?.node ?? value
        value.mark = mark
      }
    }
    switch found.count {
    case 1: return (found[0].axis, YAMLNode.Entry(key: YAMLNode(.scalar(key, .quoted), mark: bare.key.mark), value: value))
    case 0:
      let specs = tables.flatMap(\.specs)
      reader.unknown(
        bare.key, among: specs.map(\.name) + ["init", "projection", "trainable", "targets", "optimizer"], path: path,
        options: specs)
    default:
      let places = found.map { "`\($0.name): {\(key): …}`" }.joined(separator: " or ")
      reader.log.add(
        "`\(word)` is an option of \(found.map(\.name).joined(separator: " and ")); write \(places)", at: bare.key.mark)
    }
    return nil
  }

  private mutating func flat<A>(_ node: YAMLNode?, _ table: [String: AxisDefinition<A>], _ path: String, _ base: Choice)
    -> Choice?
  {
    guard let node, let definition = table[base.name] else { return nil }
    guard let options = options(node.entries ?? [], definition.options, path, old: base.options) else { return nil }
    return made(definition, options, at: node.mark) ? Choice(base.name, options) : nil
  }
}
