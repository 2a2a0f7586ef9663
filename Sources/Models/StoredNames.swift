import Files

/// Under which names a directory's files hold what a plan needs: numbers, or the parts of codes.
struct StoredNames {
  /// The name in the file of each tensor of the plan that is there in numbers.
  private(set) var numbers: [String: String] = [:]
  /// The names in the file of the parts of each weight that is coded, by the parts' endings.
  private(set) var codes: [String: [String: String]] = [:]
  /// What the files hold for other uses than this one.
  private(set) var leftOut: [String] = []

  /// Refuses tensors that are missing, unexpected or there twice.
  init(_ plan: WeightPlan, _ directory: ModelDirectory) throws(FileError) {
    let wanted = plan.tensors.filter { !$0.isDrawn }.map(\.name)
    let expected = Set(wanted)
    let parts = Self.parts(plan)
    var unexpected: [String] = []
    for name in directory.tensorNames {
      let full = plan.name(of: name)
      if let part = parts[full] {
        guard codes[part.weight, default: [:]].updateValue(name, forKey: part.ending) == nil else {
          throw FileError(.badData, directory.path, "holds '\(full)' under two names")
        }
      } else if !expected.contains(full) {
        if plan.isStray(full) { continue }
        if plan.isIgnored(full) { leftOut.append(name) } else { unexpected.append(name) }
      } else if let other = numbers.updateValue(name, forKey: full) {
        throw FileError(.badData, directory.path, "holds one tensor under two names, '\(other)' and '\(name)'")
      }
    }
    if let both = codes.keys.sorted().first(where: { numbers[$0] != nil }) {
      throw FileError(.badData, directory.path, "holds '\(both)' twice, in numbers and in codes")
    }
    if plan.quantization != nil, codes.isEmpty {
      throw FileError(
        .badData, directory.path, "the weights hold no codes", cause: "config.json has a quantization_config",
        remedy: "check that config.json belongs to these weights")
    }
    let missing = wanted.filter { numbers[$0] == nil && codes[$0] == nil }
    if let head = plan.tiedHead, missing == [head] {
      throw FileError(
        .badData, directory.path, "the weights lack '\(head)'", cause: "config.json says tie_word_embeddings: false",
        remedy: "set tie_word_embeddings to true if the head is the embedding table")
    }
    guard missing.isEmpty else {
      throw FileError(
        .badData, directory.path, "the weights lack \(Self.listed(missing))",
        cause: unexpected.isEmpty ? nil : "they hold the unexpected \(Self.listed(unexpected))",
        remedy: "check that config.json belongs to these weights")
    }
    guard unexpected.isEmpty else {
      throw FileError(
        .badData, directory.path, "the weights hold the unexpected \(Self.listed(unexpected))",
        cause: "a \(plan.modelType) model has no such tensors", remedy: "check that config.json belongs to these weights")
    }
  }

  /// Every part that a weight of a linear map may have in the files, by its full name. Tables of embeddings are never coded.
  private static func parts(_ plan: WeightPlan) -> [String: (weight: String, ending: String)] {
    guard let quantization = plan.quantization else { return [:] }
    var parts: [String: (weight: String, ending: String)] = [:]
    for weight in plan.codable {
      for ending in quantization.partEndings {
        parts[quantization.partName(of: weight, ending)] = (weight, ending)
      }
    }
    return parts
  }

  static func listed(_ names: [String]) -> String {
    let shown = names.prefix(4).map { "'\($0)'" }.joined(separator: ", ")
    return names.count > 4 ? "\(shown) and \(names.count - 4) more tensors" : shown
  }
}
