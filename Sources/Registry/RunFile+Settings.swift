import YAML

extension RunFile {
  /// What has a say in the work of a step, key by key, with `entry` for the method: none of the places that files have, and nothing
  /// of how long the run is.
  public func settings(of entry: MethodEntry) -> [(key: String, value: String)] {
    let about = ["paper", "summary", "targets", "optimizer", "peft_type"]
    let method = entry.node.entries?.filter { !about.contains($0.key.text ?? "") } ?? []
    var fields: [(String, YAMLNode)] = [("method", YAMLNode(.mapping(method)))]
    func add(_ key: String, _ node: YAMLNode?) { if let node { fields.append((key, node)) } }
    add("target_modules", targetModules?.node)
    add("exclude_modules", excludeModules?.node)
    add("layers_to_transform", layersToTransform.map { .sequence($0.map(YAMLNode.int)) })
    add("optimizer", optimizer.node)
    add("batch_size", .int(batchSize))
    add("gradient_accumulation", .int(gradientAccumulation))
    add("clip_grad_norm", clipGradNorm.map(YAMLNode.double))
    add("seed", .int(Int(truncatingIfNeeded: seed)))
    return fields.flatMap { $1.leaves(under: $0) }
  }
}

extension YAMLNode {
  /// The scalars below, each with the keys that lead to it; a sequence is one value.
  fileprivate func leaves(under key: String) -> [(key: String, value: String)] {
    switch kind {
    case .scalar(let text, _): [(key, text)]
    case .sequence(let items): [(key, items.map { $0.text ?? "" }.joined(separator: ", "))]
    case .mapping(let entries): entries.flatMap { $0.value.leaves(under: key + "." + ($0.key.text ?? "")) }
    }
  }
}
