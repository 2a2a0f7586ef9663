import Files
import Models
import PEFTKernel

/// How tensors of an adapter are called in files: by the paths that modules have in the libraries' model.
struct AdapterNames {
  private let sites: [SiteID: Site]
  private let spellings: [String: [String]]

  /// Of an adapter at `sites` of `model`.
  init(_ sites: [Site], of model: any Model) {
    self.sites = Dictionary(sites.map { ($0.id, $0) }) { first, _ in first }
    spellings = model.tensorSpellings
  }

  /// What it is written as: `base_model.model.<path>.<name>` at a site, `base_model.<name>` for the whole model.
  func canonical(_ key: TensorKey) -> String { all(key)[0] }

  /// The tensors that are taken from the base stand beside the others under this name.
  func offset(_ key: TensorKey) -> String { canonical(key) + "_init" }

  /// What a tensor of the base is written as that belongs to the adapter: an adapted map is one module further in.
  func trained(_ name: String) -> String { all(trained: name)[0] }

  /// Every name that files may have for a tensor, that which is written first.
  func all(_ key: TensorKey) -> [String] {
    guard case .site(let id) = key.scope, let site = sites[id] else { return [Self.plain(key)] }
    return site.modulePaths.map { "base_model.model.\($0).\(key.name)" }
  }

  func all(offset key: TensorKey) -> [String] { all(key).map { $0 + "_init" } }

  func all(trained name: String) -> [String] {
    let isAdapted = name.lastIndex(of: ".").map { sites[SiteID(String(name[..<$0]))] != nil } ?? false
    return (spellings[name] ?? [name]).map { spelled in
      guard isAdapted, let dot = spelled.lastIndex(of: ".") else { return "base_model.model.\(spelled)" }
      return "base_model.model.\(spelled[..<dot]).base_layer\(spelled[dot...])"
    }
  }

  /// A name that does not depend on what the libraries call things, nor on the model's head.
  static func plain(_ key: TensorKey) -> String {
    switch key.scope {
    case .site(let id): "base_model.model.\(id.path).\(key.name)"
    case .model: "base_model.\(key.name)"
    }
  }

  /// Whether a tensor stands there once more: with `bias: all` PEFT writes the bias of a saved module under its wrapper's name as well,
  /// and that of the module as it was.
  static func isCopy(_ name: String, beside names: [String]) -> Bool {
    if name.contains(".original_module.") { return true }
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let wrapper = parts.firstIndex(of: "modules_to_save") else { return false }
    parts.remove(at: wrapper)
    if names.contains(parts.joined(separator: ".")) { return true }
    // Of a module within it the adapter's name stands between.
    guard wrapper < parts.count - 1 else { return false }
    parts.remove(at: wrapper)
    return names.contains(parts.joined(separator: "."))
  }

  /// The first of many names, for messages.
  static func listed(_ names: [String]) -> String {
    let shown = names.prefix(4).map { "'\(printable($0))'" }.joined(separator: ", ")
    return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
  }
}

extension Site {
  /// Every path that the libraries have, or had, for it, today's first.
  var modulePaths: [String] { [modulePath.path] + paths.filter { $0 != modulePath.path } }
}
