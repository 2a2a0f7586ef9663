import Models
import PEFTKernel

/// Which modules a config of PEFT's means, by PEFT's own rules: module names only, and none of this project's kinds.
struct PEFTMatcher {
  enum Words {
    /// Modules of these paths, and those whose paths end with one, whole components.
    case list([String])
    /// An expression that the whole path matches.
    case pattern(PathPattern)
    /// Every linear map but, mostly, the head.
    case allLinear

    func take(_ path: String) -> Bool {
      switch self {
      case .list(let words): words.contains { path == $0 || path.hasSuffix("." + $0) }
      case .pattern(let pattern): pattern.matches(path)
      case .allLinear: false
      }
    }
  }

  enum Answer {
    case taken
    case left
    case excluded
  }

  var targets: Words
  var exclude: Words?
  var subset: TrainableSubset
  /// Layers to stay in; nil for all.
  var layers: Set<Int>?
  /// What stands before a layer's number, one after the other; empty for any name.
  var layerPatterns: [PathPattern] = []
  /// Whether a head is one of the linear maps.
  var takesHeads = false

  /// The names that modules are looked up by.
  enum Names {
    /// What the libraries call them today.
    case today
    /// Whatever they have called them.
    case any
  }

  func answer(_ path: String) -> Answer {
    if isOff(path) { return .excluded }
    guard case .list(let words) = targets else { return targets.take(path) ? .taken : .left }
    // Named in full, a module is meant in whatever layer.
    if words.contains(path) { return .taken }
    guard targets.take(path) else { return .left }
    guard let layers else { return .taken }
    return layer(of: path).map(layers.contains) == true ? .taken : .left
  }

  /// The first number that follows a name in the path and is followed by one: for want of patterns, a name behind another.
  private func layer(of path: String) -> Int? {
    let parts = path.split(separator: ".", omittingEmptySubsequences: false)
    func number(_ index: Int) -> Int? {
      parts[index].utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(parts[index]) : nil
    }
    guard parts.count > 1 else { return nil }
    if layerPatterns.isEmpty { return parts.indices.dropLast().first { $0 >= 2 && number($0) != nil }.flatMap(number) }
    for pattern in layerPatterns {
      let found = parts.indices.dropFirst().dropLast().first { index in
        number(index) != nil && pattern.matches(parts[..<index].joined(separator: "."))
      }
      if let found { return number(found) }
    }
    return nil
  }

  /// The sites that are meant, in the order of the model. Refuses modules that are meant and are no sites.
  func sites(of model: any Model, by names: Names) throws(Refusal) -> [Site] {
    func paths(_ site: Site) -> [String] { names == .today ? [site.modulePath.path] : site.paths }
    if case .allLinear = targets {
      let linear = model.sites.filter { $0.kind == .linear && (takesHeads || $0.use != "head") }
      return try some(linear.filter { !paths($0).contains(where: isOff) }, of: linear)
    }
    let sites = Dictionary(model.adaptable.flatMap { site in paths(site).map { ($0, site) } }) { first, _ in first }
    var taken: Set<SiteID> = []
    for path in Self.modules(of: model, by: names) where answer(path) == .taken {
      guard let site = sites[path] else {
        throw Refusal("target_modules: means \(path), which is no linear map", remedy: "name linear maps only")
      }
      taken.insert(site.id)
    }
    let words = Self(targets: targets, exclude: nil, subset: TrainableSubset(roles: []))
    return try some(
      model.adaptable.filter { taken.contains($0.id) },
      of: model.adaptable.filter { paths($0).contains { words.answer($0) == .taken } })
  }

  private func isOff(_ path: String) -> Bool { exclude?.take(path) == true || subset.keepsAdaptersOff(path) }

  private func some(_ sites: [Site], of meant: [Site]) throws(Refusal) -> [Site] {
    guard sites.isEmpty else { return sites }
    throw meant.isEmpty
      ? Refusal("target_modules: \(text) matches no site of the model")
      : Refusal("no site is left of those chosen once exclude_modules, modules_to_save and layers_to_transform are applied")
  }

  private var text: String {
    switch targets {
    case .list(let words): "[\(words.joined(separator: ", "))]"
    case .pattern(let pattern): "`\(pattern.text)`"
    case .allLinear: "all-linear"
    }
  }

  /// The paths of all modules that hold tensors, or modules with tensors.
  private static func modules(of model: any Model, by names: Names) -> [String] {
    var (paths, seen): ([String], Set<String>) = ([], [])
    let spellings = model.tensorSpellings
    let tensors = model.tensorNames.flatMap { (name) -> [String] in
      let all = spellings[name] ?? [name]
      return names == .today ? [all[0]] : all
    }
    let maps = model.sites.flatMap { site in (names == .today ? [site.modulePath.path] : site.paths).map { $0 + ".weight" } }
    for name in tensors + maps {
      for index in name.indices where name[index] == "." {
        let path = String(name[..<index])
        if seen.insert(path).inserted { paths.append(path) }
      }
    }
    return paths
  }
}
