import Files
import PEFTKernel

/// How tensors of an adapter are called in files.
enum AdapterNames {
  /// `base_model.model.<path>.<name>` at a site, `base_model.<name>` for the whole model.
  static func canonical(_ key: TensorKey) -> String {
    switch key.scope {
    case .site(let id): "base_model.model.\(id.path).\(key.name)"
    case .model: "base_model.\(key.name)"
    }
  }

  /// The tensors that are taken from the base stand beside the others under this name.
  static func offset(_ key: TensorKey) -> String { canonical(key) + "_init" }

  /// A tensor of the base that belongs to an adapter at `sites`: an adapted map is one module further in.
  static func trained(_ name: String, at sites: [Site]) -> String {
    guard let dot = name.lastIndex(of: "."), sites.contains(where: { $0.id.path == name[..<dot] }) else {
      return "base_model.model.\(name)"
    }
    return "base_model.model.\(name[..<dot]).base_layer\(name[dot...])"
  }

  /// The name among `known` (canonical ones) that a file's name stands for. The prefix may be missing, the name of an adapter may
  /// stand before the last component or behind it, a `weight` behind what is no module, and the wrapper of a saved module in its path.
  static func resolve(_ name: String, among known: Set<String>) -> (canonical: String, adapter: String?)? {
    let name = name.hasPrefix("_orig_mod.") ? String(name.dropFirst("_orig_mod.".count)) : name
    var forms = name.hasPrefix("base_model.") ? [name] : ["base_model.model." + name, "base_model." + name]
    forms += forms.filter { $0.contains(".modules_to_save.") }.map { $0.replacing(".modules_to_save.", with: ".") }
    for form in forms where known.contains(form) { return (form, nil) }
    let bare = forms.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(".weight".count)) }
    for form in bare where known.contains(form) { return (form, nil) }
    for form in forms + bare {
      var parts = form.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count > 3, let last = parts.popLast() else { continue }
      let trimmed = parts.joined(separator: ".")
      if known.contains(trimmed) { return (trimmed, String(last)) }
      guard let adapter = parts.popLast() else { continue }
      let joined = (parts + [last]).joined(separator: ".")
      if known.contains(joined) { return (joined, String(adapter)) }
    }
    return nil
  }

  /// Canonical name → name in the file, and the names that stand for nothing.
  static func matched(
    _ names: [String], with known: Set<String>, path: String
  ) throws(FileError) -> (found: [String: String], extra: [String]) {
    var found: [String: String] = [:]
    var extra: [String] = []
    var adapters: Set<String> = []
    for name in names {
      guard !isCopy(name, beside: names), let match = resolve(name, among: known) else {
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

  /// Whether a tensor stands there once more: with `bias: all` PEFT writes the bias of a saved module under its wrapper's name as well,
  /// and that of the module as it was.
  static func isCopy(_ name: String, beside names: [String]) -> Bool {
    if name.contains(".original_module.") { return true }
    return name.contains(".modules_to_save.") && names.contains(name.replacing(".modules_to_save.", with: "."))
  }

  /// The first of many names, for messages.
  static func listed(_ names: [String]) -> String {
    let shown = names.prefix(4).map { "'\(printable($0))'" }.joined(separator: ", ")
    return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
  }
}
