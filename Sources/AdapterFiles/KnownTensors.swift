import Files

/// The tensors that a file may hold, by every name it may have for them.
struct KnownTensors {
  private var canonical: [String: String] = [:]

  init() {}

  /// `names` are lists of names for one tensor each, the canonical one first.
  init(_ names: some Sequence<[String]>) {
    for list in names { add(list) }
  }

  mutating func add(_ names: [String]) {
    guard let first = names.first else { return }
    // What a tensor is called by itself outweighs what another one may be called.
    canonical[first] = first
    for other in names.dropFirst() where canonical[other] == nil { canonical[other] = first }
  }

  /// The tensor that a file's name stands for, by its canonical name. The prefix may be missing, the name of an adapter may stand before
  /// the last component or behind it, a `weight` behind what is no module, and the wrapper of a saved module in its path.
  func resolve(_ name: String) -> (canonical: String, adapter: String?)? {
    let name = name.hasPrefix("_orig_mod.") ? String(name.dropFirst("_orig_mod.".count)) : name
    var forms = name.hasPrefix("base_model.") ? [name] : ["base_model.model." + name, "base_model." + name]
    forms += forms.filter { $0.contains(".modules_to_save.") }.map { $0.replacing(".modules_to_save.", with: ".") }
    for form in forms {
      if let found = canonical[form] { return (found, nil) }
    }
    let bare = forms.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(".weight".count)) }
    for form in bare {
      if let found = canonical[form] { return (found, nil) }
    }
    for form in forms + bare {
      var parts = form.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count > 3, let last = parts.popLast() else { continue }
      if let found = canonical[parts.joined(separator: ".")] { return (found, String(last)) }
      guard let adapter = parts.popLast() else { continue }
      if let found = canonical[(parts + [last]).joined(separator: ".")] { return (found, String(adapter)) }
    }
    return Self.unwrapped(name).flatMap { form, adapter in canonical[form].map { ($0, adapter) } }
  }

  /// The name in a module that is kept beside the one it stands for, as the running model has it: `head.modules_to_save.default.dense.weight`.
  private static func unwrapped(_ name: String) -> (name: String, adapter: String)? {
    let full = name.hasPrefix("base_model.") ? name : "base_model.model." + name
    var parts = full.split(separator: ".", omittingEmptySubsequences: false)
    guard let wrapper = parts.firstIndex(of: "modules_to_save"), wrapper + 2 < parts.count else { return nil }
    let adapter = String(parts[wrapper + 1])
    parts.removeSubrange(wrapper...wrapper + 1)
    return (parts.joined(separator: "."), adapter)
  }

  /// Canonical name → name in the file, and the names that stand for nothing.
  func matched(_ names: [String], path: String) throws(FileError) -> (found: [String: String], extra: [String]) {
    var found: [String: String] = [:]
    var extra: [String] = []
    var adapters: Set<String> = []
    for name in names {
      guard !AdapterNames.isCopy(name, beside: names), let match = resolve(name) else {
        extra.append(name)
        continue
      }
      if let other = found.updateValue(name, forKey: match.canonical) {
        throw FileError(.badData, path, "holds one tensor under two names, '\(other)' and '\(name)'")
      }
      if let adapter = match.adapter { adapters.insert(adapter) }
    }
    guard adapters.count <= 1 else {
      throw FileError(
        .badData, path, "holds several adapters: \(adapters.sorted().joined(separator: ", "))",
        remedy: "save each in a directory of its own")
    }
    return (found, extra)
  }
}
