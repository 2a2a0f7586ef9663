import Files
import PEFTKernel

/// Ranks and alphas by pattern, in a config of PEFT's.
struct PEFTPatterns {
  let folder: AdapterFolder
  let sites: [Site]
  /// The options read so far.
  var options: [String: OptionValue]
  var notes: [String] = []

  /// PEFT loses the order of its patterns in files, so the shapes say which rank a site has; patterns only check them.
  mutating func settle() throws(FileError) {
    for site in sites {
      let matching = try keys("alpha_pattern", at: site)
      guard matching.count > 1 else { continue }
      let longest = matching.sorted { ($1.count, $0) < ($0.count, $1) }[0]
      notes.append(
        "alpha_pattern: \(matching.sorted().joined(separator: ", ")) all match \(site.id); the longest, \(longest), is used")
    }
    guard case .map(let patterns)? = options["rank_pattern"], !patterns.isEmpty else { return }
    let factors = Set(sites.map { AdapterNames.canonical(TensorKey("lora_A.weight", $0.id)) })
    let (found, _) = try AdapterNames.matched(folder.weights.tensors.map(\.name), with: factors, path: folder.weights.path)
    var ranks: [String: OptionValue] = [:]
    for site in sites {
      let keys = try keys("rank_pattern", at: site)
      guard let name = found[AdapterNames.canonical(TensorKey("lora_A.weight", site.id))],
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

  /// The keys of a pattern table that match a site, as PEFT matches: a regular expression for the path, or for what is
  /// behind a dot of it.
  private func keys(_ table: String, at site: Site) throws(FileError) -> [String] {
    guard case .map(let patterns)? = options[table] else { return [] }
    var matching: [String] = []
    for key in patterns.keys.sorted() {
      guard let expression = try? Regex("(.*\\.)?(\(key))") else {
        throw FileError(.badData, folder.configPath, "\(table): '\(key)' is no regular expression")
      }
      if site.id.path.wholeMatch(of: expression) != nil { matching.append(key) }
    }
    return matching
  }
}
