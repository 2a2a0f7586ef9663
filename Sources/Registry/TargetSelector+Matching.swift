import PEFTKernel

extension TargetSelector {
  /// The chosen sites; every selector that should match and does not is added to `faults`.
  public func select(from sites: [Site], faults: inout [Fault]) -> [Site] {
    let before = faults.count
    var chosen = match(targets, as: .targets, sites, needs: demand, &faults)
    if let exclude {
      let excluded = match(exclude, as: .exclude, sites, needs: .each, &faults)
      for i in chosen.indices where excluded[i] != nil { chosen[i] = nil }
    }
    if let layers, !layers.isEmpty {
      if case .pattern = targets {
        let message = "layers_to_transform: works with lists and kinds; a regular expression says the layers itself"
        faults.append(Fault(part: .layers, item: 0, message: message))
        return []
      }
      checkLayers(layers, sites, &faults)
      for (i, site) in sites.enumerated() where chosen[i] == .inLayers {
        if !(site.layer.map(layers.contains) ?? false) { chosen[i] = nil }
      }
    }
    let result = sites.indices.filter { chosen[$0] != nil }.map { sites[$0] }
    if result.isEmpty, faults.count == before {
      let left =
        sites.isEmpty ? "the model has no sites" : "no site is left of those chosen once exclusions and layers are applied"
      faults.append(Fault(part: .targets, item: 0, message: "target_modules: \(left)"))
    }
    return result
  }

  /// How a site was matched.
  private enum Match {
    case inLayers
    /// By its whole path: layers do not apply.
    case always
  }

  private func match(
    _ targets: Targets, as part: Fault.Part, _ sites: [Site], needs demand: Demand, _ faults: inout [Fault]
  ) -> [Match?] {
    let key = part == .exclude ? "exclude_modules" : "target_modules"
    switch targets {
    case .allLinear:
      return sites.map { $0.kind == .linear && $0.use != "head" ? .inLayers : nil }
    case .pattern(let pattern):
      guard let expression = try? PathPattern(pattern) else {
        faults.append(Fault(part: part, item: 0, message: "\(key): `\(pattern)` is no regular expression"))
        return sites.map { _ in nil }
      }
      let found: [Match?] = sites.map { expression.matches($0.id.path) ? .always : nil }
      if !found.contains(where: { $0 != nil }) {
        let isName = sites.contains { Self.match(pattern, $0) != nil }
        let remedy =
          isName
          ? "; a list has names that paths end with: write [\(pattern)]"
          : "; it must match the whole path, such as `\(sites.first?.id.path ?? "")`"
        faults.append(
          Fault(part: part, item: 0, message: "\(key): the regular expression `\(pattern)` matches no site of the model\(remedy)")
        )
      }
      return found
    case .names(let names):
      var found = [Match?](repeating: nil, count: sites.count)
      var unmatched: [Int] = []
      for (item, name) in names.enumerated() {
        var isMatched = false
        for (i, site) in sites.enumerated() {
          guard let match = Self.match(name, site) else { continue }
          isMatched = true
          if found[i] != .always { found[i] = match }
        }
        if !isMatched { unmatched.append(item) }
      }
      if demand == .each || unmatched.count == names.count {
        for item in unmatched {
          let remedy = Nearest.remedy(for: names[item], among: Self.vocabulary(of: sites))
          faults.append(Fault(part: part, item: item, message: "\(key): `\(names[item])` matches no site of the model\(remedy)"))
        }
      }
      return found
    }
  }

  private static func match(_ name: String, _ site: Site) -> Match? {
    if site.id.path == name { return .always }
    if name == allLinear { return site.kind == .linear && site.use != "head" ? .inLayers : nil }
    if site.id.path.hasSuffix("." + name) || site.use == name || site.use.hasPrefix(name + ".") { return .inLayers }
    return nil
  }

  private func checkLayers(_ layers: [Int], _ sites: [Site], _ faults: inout [Fault]) {
    let known = Set(sites.compactMap(\.layer))
    for (item, layer) in layers.enumerated() where !known.contains(layer) {
      let range = known.isEmpty ? "the model has no layers" : "the model's layers are \(known.min() ?? 0) to \(known.max() ?? 0)"
      faults.append(Fault(part: .layers, item: item, message: "layers_to_transform: there is no layer \(layer); \(range)"))
    }
  }

  /// What a selector can say of these sites: module names first, then kinds and their groups.
  static func vocabulary(of sites: [Site]) -> [String] {
    var words: [String] = []
    var seen: Set<String> = []
    func add(_ word: some StringProtocol) {
      if !word.isEmpty, seen.insert(String(word)).inserted { words.append(String(word)) }
    }
    for site in sites { add(site.id.path.split(separator: ".").last ?? "") }
    for site in sites {
      add(site.use)
      if site.use.contains(".") { add(site.use.split(separator: ".").first ?? "") }
    }
    return words
  }

  /// Reads what a user wrote: `all-linear` in any case, a kind, else a regular expression.
  public init(string: String, demand: Demand = .each) {
    if string.lowercased() == Self.allLinear {
      self.init(.allLinear, demand: demand)
    } else {
      self.init(Self.kinds.contains(string) ? .names([string]) : .pattern(string), demand: demand)
    }
  }

  /// The words every model maps to its own names.
  public static let kinds = [
    "attention", "attention.query", "attention.key", "attention.value", "attention.output", "attention.qkv", "mlp", "mlp.gate",
    "mlp.up", "mlp.down", "head", "embedding", "embedding.token", "embedding.position",
  ]
}
