import Files
import PEFTKernel
import YAML

/// What a run is to do otherwise than its file says: another method, another optimizer, or both.
///
/// Written as `method`, `method@optimizer`, `method:option=value:…@optimizer`; or with a file's path in the method's place. The
/// file holds a method entry in full, or what a run file would say under `method`, or the keys of a run file that choose the
/// method, its sites and its optimizer.
public struct RunVariant: Sendable, Hashable {
  public struct Option: Sendable, Hashable {
    public var name: String
    public var value: String
  }

  /// What it goes by in tables.
  public var label: String
  /// The name of an entry; nil where `file` brings the method.
  public var method: String?
  public var file: String?
  public var options: [Option] = []
  public var optimizer: String?

  /// Reads one variant as it is typed.
  public init(_ text: String) throws(Refusal) {
    var rest = Substring(text)
    if let at = rest.lastIndex(of: "@"), !rest[at...].contains("/") {
      let name = rest[rest.index(after: at)...]
      guard !name.isEmpty else { throw Refusal("`\(text)` names no optimizer", remedy: "write method@optimizer") }
      optimizer = String(name)
      rest = rest[..<at]
    }
    guard !rest.isEmpty else { throw Refusal("`\(text)` names no method", remedy: "write names with commas between them") }
    let suffix = optimizer.map { "@" + $0 } ?? ""
    if rest.contains("/") || rest.hasSuffix(".yaml") || rest.hasSuffix(".yml") {
      file = String(rest)
      let name = Folder.split(String(rest)).name
      label = name.replacing(/\.ya?ml$/, with: "") + suffix
      return
    }
    label = rest + suffix
    let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
    method = String(parts[0])
    for part in parts.dropFirst() {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2, !pair[0].isEmpty, !pair[1].isEmpty else {
        throw Refusal("`\(text)`: `\(part)` is no option", remedy: "write method:option=value")
      }
      options.append(Option(name: String(pair[0]), value: String(pair[1])))
    }
  }

  /// The same method under another optimizer.
  public func with(optimizer name: String) -> RunVariant {
    var variant = self
    variant.optimizer = name
    variant.label = label + "@" + name
    return variant
  }
}

extension RunFile {
  /// Reads a run file with a variant in place of its own method and optimizer, and that peak learning rate.
  ///
  /// A variant named like the file's own method keeps the options that the file gives it; another entry comes with its own. Every
  /// variant keeps the file's sites, data, schedule and budget. Its optimizer is the one it names, else the one that its method
  /// brings along where that is not AdamW, else the file's; options of the file's optimizer that this one does not have are left
  /// out.
  ///
  /// The run file itself must be sound: faults are told of the variant.
  public static func load(
    _ path: String, as variant: RunVariant, learningRate: Double? = nil, registry: MethodRegistry, sites: SiteSource? = nil
  ) throws(ConfigurationErrors) -> RunFile {
    do throws(ConfigurationErrors) {
      let builder = VariantBuilder(run: try node(of: path), variant: variant, registry: registry)
      return try read(try builder.node(learningRate), [], path: path, registry: registry, sites: sites)
    } catch {
      var error = error
      for index in error.issues.indices {
        error.issues[index].file = variant.file ?? variant.label
        // Places are those of the run file, which has no fault.
        if variant.file == nil { (error.issues[index].line, error.issues[index].column) = (0, 0) }
      }
      throw error
    }
  }

  private static func node(of path: String) throws(ConfigurationErrors) -> YAMLNode {
    do {
      return try YAMLNode.parse(TextFile.read(path, maximumBytes: 1 << 24), file: path)
    } catch let error as FileError {
      throw ConfigurationErrors([Issue(error.reason, kind: Issue.Kind(error.kind), file: path)])
    } catch let error as YAMLError {
      throw ConfigurationErrors([Issue(error)])
    } catch {
      throw ConfigurationErrors([Issue("\(error)", file: path)])
    }
  }

  /// Puts a variant into a run file's node.
  private struct VariantBuilder {
    let run: YAMLNode
    let variant: RunVariant
    let registry: MethodRegistry

    private static let siteKeys = ["target_modules", "exclude_modules", "layers_to_transform", "modules_to_save", "bias"]
    private static let settings = ["name", "lr", "schedule", "warmup", "min_lr_ratio"]

    func node(_ learningRate: Double?) throws(ConfigurationErrors) -> YAMLNode {
      let fragment = try fragment()
      let method = fragment["method"] ?? named
      var reader = registry.reader(variant.file ?? variant.label)
      let entry = reader.method(method, path: "method")
      try reader.reader.log.finish()
      var fields = (run.entries ?? []).filter { entry in
        let key = entry.key.text ?? ""
        if ["method", "optimizer"].contains(key) || fragment[key] != nil { return false }
        return true
      }
      func add(_ key: String, _ node: YAMLNode) { fields.append(.init(key: .string(key), value: node)) }
      add("method", method)
      add("optimizer", optimizer(entry, fragment["optimizer"], learningRate))
      for key in Self.siteKeys { if let node = fragment[key] { add(key, node) } }
      if entry?.hasAdapter == false { fields.removeAll { Self.siteKeys.contains($0.key.text ?? "") } }
      return YAMLNode(.mapping(fields), mark: run.mark)
    }

    /// The name of the run file's own method.
    private var own: String? {
      let method = run["method"]
      return method?.asString ?? method?["use"]?.asString ?? method?["name"]?.asString
    }

    private var isOwn: Bool { variant.file == nil && variant.method == own }

    /// The method by its name, the variant's options over those of the run file where it is the run file's own.
    private var named: YAMLNode {
      let name = variant.method ?? ""
      let options = variant.options.map { option in
        YAMLNode.Entry(key: .string(option.name), value: YAMLNode(.scalar(option.value, .plain)))
      }
      guard isOwn, let method = run["method"] else {
        return options.isEmpty ? .string(name) : YAMLNode(.mapping([.init(key: .string("use"), value: .string(name))] + options))
      }
      let given = method.entries ?? [.init(key: .string("use"), value: method)]
      let kept = given.filter { entry in !variant.options.contains { $0.name == entry.key.text } }
      return options.isEmpty ? method : YAMLNode(.mapping(kept + options), mark: method.mark)
    }

    /// What a file says, by the keys of a run file.
    private func fragment() throws(ConfigurationErrors) -> [String: YAMLNode] {
      guard let file = variant.file else { return [:] }
      let node = try RunFile.node(of: file)
      guard let entries = node.entries else {
        throw ConfigurationErrors([
          Issue("the file is \(node.summary), but must be a mapping", file: file, line: node.mark.line, column: node.mark.column)
        ])
      }
      if node["use"] != nil || node["projection"] != nil { return ["method": node] }
      let known = ["method", "optimizer"] + Self.siteKeys
      let strangers = entries.filter { !known.contains($0.key.text ?? "") }
      guard strangers.isEmpty, node["method"] != nil else {
        let issues = strangers.map { entry in
          let remedy = Nearest.remedy(for: entry.key.text ?? "", among: known)
          return Issue(
            "`\(entry.key.text ?? "")` cannot differ between the methods of a comparison\(remedy)", file: file,
            line: entry.key.mark.line, column: entry.key.mark.column)
        }
        let missing = Issue("has neither `projection`, `use` nor `method`: give a method", file: file)
        throw ConfigurationErrors(issues.isEmpty ? [missing] : issues)
      }
      return Dictionary(entries.map { ($0.key.text ?? "", $0.value) }) { first, _ in first }
    }

    private func optimizer(_ entry: MethodEntry?, _ fragment: YAMLNode?, _ learningRate: Double?) -> YAMLNode {
      let section = run["optimizer"]
      let given = section?["name"]?.asString
      let brought = entry.map(\.optimizer.name).flatMap { $0 == "adamw" || isOwn ? nil : $0 }
      let name = variant.optimizer ?? fragment?["name"]?.asString ?? brought ?? given ?? entry?.optimizer.name ?? "adamw"
      let known = registry.axes.optimizers[name].map { $0.options.map(\.name) }
      var fields: [YAMLNode.Entry] = [.init(key: .string("name"), value: .string(name))]
      func put(_ entry: YAMLNode.Entry) {
        fields.removeAll { $0.key.text == entry.key.text }
        fields.append(entry)
      }
      for option in section?.entries ?? [] where option.key.text != "name" {
        let key = option.key.text ?? ""
        if Self.settings.contains(key) || known?.contains(key) == true { put(option) }
      }
      for option in fragment?.entries ?? [] where option.key.text != "name" { put(option) }
      if let learningRate { put(.init(key: .string("lr"), value: .double(learningRate))) }
      return YAMLNode(.mapping(fields), mark: section?.mark ?? run.mark)
    }
  }
}
