import Files
import PEFTKernel
import YAML

/// Reads mappings against tables of keys, gathering every fault.
struct SchemaReader {
  var log: IssueLog
  /// The folder that relative paths are relative to.
  var folder: String
  /// The table of the whole file, for keys that stand in the wrong place.
  let schema: [KeySpec]

  /// A value of the file, by its key's whole path (`data.train`).
  struct Item {
    var value: OptionValue
    var node: YAMLNode
  }

  init(file: String, folder: String, schema: [KeySpec]) {
    log = IssueLog(file: file)
    self.folder = folder
    self.schema = schema
  }

  /// What `node` says for `specs`, defaults filled in; keys in `others` are the caller's to read.
  mutating func section(
    _ node: YAMLNode, _ specs: [KeySpec], path: String = "", others: Set<String> = []
  ) -> [String: Item] {
    guard let entries = node.entries else {
      log.add("\(path.isEmpty ? "the file" : path) is \(node.summary), but must be a mapping", at: node.mark)
      return [:]
    }
    var items: [String: Item] = [:]
    for entry in entries {
      guard let key = entry.key.text, !others.contains(key) else { continue }
      guard let spec = specs.first(where: { $0.name == key }) else {
        unknown(entry.key, among: specs.map(\.name), path: path)
        continue
      }
      read(entry.value, spec, Self.join(path, key), into: &items)
    }
    for spec in specs where node[spec.name] == nil {
      if spec.isRequired {
        log.add("`\(Self.join(path, spec.name))` is missing: \(spec.summary)", at: node.mark)
      } else if spec.standard != .null {
        items[Self.join(path, spec.name)] = Item(value: spec.standard, node: YAMLNode(.scalar("", .plain)))
      } else if case .section(let keys) = spec.kind, !keys.contains(where: \.isRequired) {
        // Left out altogether, a section is what its defaults make it.
        items.merge(section(.mapping([]), keys, path: Self.join(path, spec.name))) { first, _ in first }
      }
    }
    return items
  }

  static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  private mutating func read(_ node: YAMLNode, _ spec: KeySpec, _ path: String, into items: inout [String: Item]) {
    if node.isNull, spec.allowsNull {
      items[path] = Item(value: .null, node: node)
      return
    }
    switch spec.kind {
    case .section(let keys):
      items[path] = Item(value: .null, node: node)
      let others = path == "optimizer" ? Set((node.entries ?? []).compactMap(\.key.text)).subtracting(keys.map(\.name)) : []
      items.merge(section(node, keys, path: path, others: others)) { first, _ in first }
    case .value(let kind):
      // Any default but null: whether null may stand here was decided above.
      let option = OptionSpec(path, kind, default: .bool(false), "")
      if let value = checked(node, option) { items[path] = Item(value: value, node: node) }
    case .path(let place):
      guard let given = node.asString, !given.isEmpty else { return wrong(node, path, spec.kind.text) }
      let resolved = Folder.tidied(given.hasPrefix("/") ? given : Folder.join(folder, given))
      items[path] = Item(value: .string(resolved), node: node)
      checkExists(resolved, place, path, node)
    case .texts:
      if refusesItems(of: node, path, "a string", unless: { $0.asString != nil }) { return }
      guard let texts = texts(node), !texts.isEmpty else { return wrong(node, path, spec.kind.text) }
      items[path] = Item(value: .list(texts.map { .string($0) }), node: node)
    case .variables:
      guard let entries = node.entries else { return wrong(node, path, spec.kind.text) }
      var values: [String: OptionValue] = [:]
      for entry in entries {
        let name = entry.key.text ?? ""
        guard entry.value.entries == nil, entry.value.items == nil, !entry.value.isNull else {
          wrong(entry.value, Self.join(path, name), "a text, a number or a truth value")
          continue
        }
        values[name] = OptionValue(entry.value)
      }
      items[path] = Item(value: .map(values), node: node)
    case .selectors:
      if refusesItems(of: node, path, "a string", unless: { $0.asString != nil }) { return }
      if let texts = texts(node), !texts.isEmpty {
        items[path] = Item(value: .list(texts.map { .string($0) }), node: node)
      } else if let text = node.asString, !text.isEmpty {
        items[path] = Item(value: .string(text), node: node)
      } else {
        wrong(node, path, spec.kind.text)
      }
    case .layers:
      func isLayer(_ node: YAMLNode) -> Bool { node.asInt.map { $0 >= 0 } == true }
      if refusesItems(of: node, path, "a layer's index", unless: isLayer) { return }
      let given = node.items ?? [node]
      let layers = given.compactMap(\.asInt).filter { $0 >= 0 }
      guard layers.count == given.count, !layers.isEmpty else { return wrong(node, path, spec.kind.text) }
      items[path] = Item(value: .list(layers.map { .int($0) }), node: node)
    case .choice, .method:
      items[path] = Item(value: .null, node: node)
    }
  }

  private func texts(_ node: YAMLNode) -> [String]? {
    guard let items = node.items else { return nil }
    let texts = items.compactMap(\.asString)
    return texts.count == items.count ? texts : nil
  }

  private mutating func checkExists(_ resolved: String, _ place: KeySpec.Place, _ path: String, _ node: YAMLNode) {
    let isThere: Bool
    switch place {
    case .output: return
    case .folder: isThere = Folder.isFolder(resolved)
    case .file: isThere = Folder.isFile(resolved)
    case .fileOrFolder: isThere = Folder.isFile(resolved) || Folder.isFolder(resolved)
    }
    guard !isThere else { return }
    let word = place == .folder ? "folder" : "file"
    let what = Folder.exists(resolved) ? "is no \(word)" : "there is no such \(word)"
    log.add("\(path): \(resolved): \(what); relative paths start at this file's folder", at: node.mark, kind: .missing)
  }

  // MARK: Values

  /// The node's value as that option's, or nil after adding a fault.
  mutating func checked(_ node: YAMLNode, _ option: OptionSpec, allowsNull: Bool = false) -> OptionValue? {
    var value = OptionValue(node)
    if case .integer = option.kind, let int = node.asInt { value = .int(int) }
    // Words such as `true` may be choices: only quotes and YAML's own types tell them from text.
    if case .choice(let choices) = option.kind, let text = node.text, choices.contains(text) { value = .string(text) }
    if let checked = try? option.checked(value) { return checked }
    var remedy = ""
    if case .choice(let choices) = option.kind, let text = node.asString, let name = Nearest.name(to: text, among: choices) {
      remedy = "; did you mean `\(name)`?"
    }
    switch option.kind {
    case .numbers, .embedding:
      if refusesItems(of: node, option.name, "a number", unless: { $0.asDouble?.isFinite == true }) { return nil }
    default: break
    }
    if case .table = option.kind, refusesValues(of: node, option.name) { return nil }
    wrong(node, option.name, option.kind.text, remedy)
    return nil
  }

  /// Reports what does not belong in a list, each item at its own place; whether there was any.
  private mutating func refusesItems(
    of node: YAMLNode, _ path: String, _ wanted: String, unless isRight: (YAMLNode) -> Bool
  ) -> Bool {
    let bad = (node.items ?? []).enumerated().filter { !isRight($0.element) }
    for (index, item) in bad { wrong(item, "\(path)[\(index)]", wanted) }
    return !bad.isEmpty
  }

  /// The same for the values of a table of positive numbers.
  private mutating func refusesValues(of node: YAMLNode, _ path: String) -> Bool {
    let bad = (node.entries ?? []).filter { entry in entry.value.asDouble.map { $0 > 0 && $0.isFinite } != true }
    for entry in bad { wrong(entry.value, Self.join(path, entry.key.text ?? ""), "a positive number") }
    return !bad.isEmpty
  }

  mutating func wrong(_ node: YAMLNode, _ path: String, _ wanted: String, _ remedy: String = "") {
    let what = node.items?.isEmpty == true ? "an empty list" : node.summary
    log.add(
      "`\(path)` is \(what), but must be \(wanted)\(remedy.isEmpty ? node.hint.map { "; \($0)" } ?? "" : remedy)", at: node.mark)
  }

  // MARK: Unknown keys

  /// Reports a key that is not in its table, with what was probably meant.
  mutating func unknown(_ key: YAMLNode, among known: [String], path: String, options: [OptionSpec] = []) {
    let word = key.text ?? ""
    let place = path.isEmpty ? "" : " in `\(path)`"
    log.add("unknown key `\(word)`\(place)\(remedy(for: word, among: known, path: path, options: options))", at: key.mark)
  }

  private func remedy(for word: String, among known: [String], path: String, options: [OptionSpec]) -> String {
    let field = FieldNames.meaning(of: word)
    if let option = options.first(where: { $0.aliases.contains { $0.name == word } }) {
      return "; did you mean `\(option.name)` (\(FieldName.users(of: word, field?.programs ?? [])))?"
    }
    let tables = Self.paths(in: schema)
    if let field, isKnown(field.meaning, known, path, tables) {
      return "; did you mean `\(shown(field.meaning, from: path))` (\(field.users))?"
    }
    // The right key at the wrong place.
    if let target = tables.first(where: { $0 == word || $0.hasSuffix("." + word) }), target != Self.join(path, word) {
      return "; did you mean `\(target)`?"
    }
    return Nearest.remedy(for: word, among: known)
  }

  /// Whether a meaning exists where the reader stands: an entry has no `data`, and not every method has a rank.
  private func isKnown(_ meaning: String, _ known: [String], _ path: String, _ tables: [String]) -> Bool {
    if !path.isEmpty, meaning.hasPrefix(path + ".") { return known.contains(shown(meaning, from: path)) }
    return tables.contains(meaning) || tables.contains { meaning.hasPrefix($0 + ".") }
  }

  /// Within a section its keys go by their own names.
  private func shown(_ target: String, from path: String) -> String {
    !path.isEmpty && target.hasPrefix(path + ".") ? String(target.dropFirst(path.count + 1)) : target
  }

  private static func paths(in specs: [KeySpec], path: String = "") -> [String] {
    specs.flatMap { spec -> [String] in
      let here = join(path, spec.name)
      guard case .section(let keys) = spec.kind else { return [here] }
      return [here] + paths(in: keys, path: here)
    }
  }
}

extension OptionValue {
  /// What a node says, in the kernel's terms.
  init(_ node: YAMLNode) {
    switch node.kind {
    case .sequence(let items): self = .list(items.map(OptionValue.init))
    case .mapping(let entries):
      self = .map(Dictionary(entries.map { ($0.key.text ?? "", OptionValue($0.value)) }) { first, _ in first })
    case .scalar:
      switch node.scalar {
      case .bool(let value): self = .bool(value)
      case .int(let value): self = .int(value)
      case .double(let value): self = .double(value)
      case .string(let value): self = .string(value)
      default: self = .null
      }
    }
  }

  /// The value as a node without a place; the inverse of `init(_:)`.
  var node: YAMLNode {
    switch self {
    case .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .double(let value): .double(value)
    case .string(let value): .string(value)
    case .list(let values): .sequence(values.map(\.node))
    case .map(let values): .mapping(values.sorted { $0.key < $1.key }.map { ($0.key, $0.value.node) })
    }
  }
}
