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

  /// The name among `known` (canonical ones) that a file's name stands for. The prefix may be missing, and the name of an
  /// adapter may stand before the last component or behind it.
  static func resolve(_ name: String, among known: Set<String>) -> (canonical: String, adapter: String?)? {
    let forms = name.hasPrefix("base_model.") ? [name] : ["base_model.model." + name, "base_model." + name]
    for form in forms where known.contains(form) { return (form, nil) }
    for form in forms {
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
      guard let match = resolve(name, among: known) else {
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

  /// The first of many names, for messages.
  static func listed(_ names: [String]) -> String {
    let shown = names.prefix(4).map { "'\(printable($0))'" }.joined(separator: ", ")
    return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
  }
}
