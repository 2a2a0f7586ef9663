import Files
import Models
import PEFTKernel

/// Ranks and alphas by pattern, in a config of PEFT's.
struct PEFTPatterns {
  let folder: AdapterFolder
  let sites: [Site]
  /// The options read so far.
  var options: [String: OptionValue]
  var notes: [String] = []

  /// PEFT loses the order of its patterns in files, so the shapes say which rank a site has; patterns only check them.
  mutating func settle(on model: any Model) throws(FileError) {
    let alphas = try matches("alpha_pattern")
    for site in sites {
      let matching = alphas(site)
      guard matching.count > 1 else { continue }
      let longest = matching.sorted { ($1.count, $0) < ($0.count, $1) }[0]
      notes.append(
        "alpha_pattern: \(matching.sorted().joined(separator: ", ")) all match \(site.id); the longest, \(longest), is used")
    }
    if case .map(let table)? = options["alpha_pattern"] {
      // PEFT lets a pattern match nothing; one of a run file must match.
      let used = Set(sites.flatMap(alphas))
      let unused = table.keys.filter { !used.contains($0) }.sorted()
      if !unused.isEmpty { notes.append("alpha_pattern: \(unused.joined(separator: ", ")) match no adapted site") }
      options["alpha_pattern"] = .map(table.filter { used.contains($0.key) })
    }
    guard case .map(let patterns)? = options["rank_pattern"], !patterns.isEmpty else { return }
    let spelled = AdapterNames(sites, of: model)
    let factors = sites.map { spelled.all(TensorKey(PEFTConfig.factors(at: $0).down, $0.id)) }
    let (found, _) = try KnownTensors(factors).matched(folder.weights.tensors.map(\.name), path: folder.weights.path)
    var ranks: [String: OptionValue] = [:]
    let matches = try matches("rank_pattern")
    for site in sites {
      let keys = matches(site)
      guard let name = found[spelled.canonical(TensorKey(PEFTConfig.factors(at: site).down, site.id))],
        let shape = folder.weights.entry(name)?.shape, let rank = shape.first
      else { continue }
      let expected = keys.isEmpty ? [options["r"] ?? .null] : keys.compactMap { patterns[$0] }
      guard expected.contains(where: { $0.number == Double(rank) }) else {
        throw FileError(
          .badData, folder.weights.path, "tensor '\(name)' has shape \(shape), which is rank \(rank)",
          cause: "\(keys.isEmpty ? "r" : "rank_pattern") gives \(expected.map(\.text).joined(separator: " or "))",
          remedy: "correct \(AdapterFolder.configName)")
      }
      if options["r"] != .int(rank) { ranks[site.id.path] = .int(rank) }
    }
    options["rank_pattern"] = .map(ranks)
  }

  /// Gives the keys of a pattern table that match a site, as PEFT matches: a regular expression for the path, or for what
  /// is behind a dot of it.
  private func matches(_ table: String) throws(FileError) -> (Site) -> [String] {
    guard case .map(let patterns)? = options[table] else { return { _ in [] } }
    var expressions: [(key: String, expression: PathPattern)] = []
    for key in patterns.keys.sorted() {
      guard let expression = try? PathPattern("(.*\\.)?(\(key))") else {
        throw FileError(.badData, folder.configPath, "\(table): '\(key)' is no regular expression")
      }
      expressions.append((key, expression))
    }
    return { site in expressions.filter { site.paths.contains(where: $0.expression.matches) }.map(\.key) }
  }
}
