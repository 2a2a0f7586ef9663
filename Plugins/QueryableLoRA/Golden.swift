import Engine
import PEFTKernel

/// Reads reference files of Queryable LoRA.
///
/// The files state one site, after `history` earlier blocks, or a chain of three sites in two blocks. What belongs to a
/// block with a history is there in every file, so every problem gets two blocks here; a block of the model that a file
/// does not use is a site that x does not pass.
enum QueryableGolden {
  static let reader = GoldenReader(reads: { $0.isOf("queryable_lora") }, read: read)

  @Sendable private static func read(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    var options = file.options.filter { !["history", "instruction_dim", "chain"].contains($0.key) }
    options["layers_per_block"] = .int(1)
    if let instruction = file.tensors["frozen.instruction"] {
      options["instruction"] = .list(instruction.values.map { .double($0) })
    }
    return file.config["chain"] == .bool(true) ? try chain(file, options) : try oneSite(file, options)
  }

  private static func oneSite(_ file: GoldenFile, _ options: [String: OptionValue]) throws(Refusal) -> GoldenCase {
    let weight = try file.tensor("weight")
    let sites = (0..<2).map { (i: Int) in
      Site(id: SiteID("site\(i)"), outputs: weight.rows, inputs: weight.columns, layer: i)
    }
    let history = file.tensors["frozen.history"]
    let (used, idle) = history == nil ? (sites[0], sites[1]) : (sites[1], sites[0])
    var result = try shared(file, options, sites, [used.id: weight, idle.id: .zeros(weight.shape, .float64)])
    for name in ["lora_A", "lora_B"] {
      let tensor = try file.tensor("trainable." + name)
      result.point[name, used.id] = tensor
      result.point[name, idle.id] = .zeros(tensor.shape, .float64)
      result.gradients[name] = TensorKey(name, used.id)
    }
    result.forward = { x, site in site(used.id, x) }
    guard let history else { return result }
    let x = try file.tensor("x")
    guard history.rank == 3, history.shape[0] == x.rows, history.shape[2] == file.int("rank"), history.shape[1] > 0 else {
      throw Refusal("frozen.history has shape \(history.shape), not [batch, blocks, r]")
    }
    let (batch, blocks, rank) = (history.shape[0], history.shape[1], history.shape[2])
    let rows = history.reshaped([batch, blocks * rank])
    result.arrange = { pass in
      for j in 0..<blocks { pass[note: Routing.self].remember(rows.slice(columns: j * rank..<(j + 1) * rank)) }
    }
    return result
  }

  private static func chain(_ file: GoldenFile, _ options: [String: OptionValue]) throws(Refusal) -> GoldenCase {
    let weights = [try file.tensor("frozen.weight.0"), try file.tensor("frozen.weight.1"), try file.tensor("weight")]
    let sites = weights.enumerated().map { (i, weight) in
      Site(id: SiteID("site\(i)"), outputs: weight.rows, inputs: weight.columns, layer: i < 2 ? 0 : 1)
    }
    var result = try shared(
      file, options, sites, Dictionary(uniqueKeysWithValues: zip(sites.map(\.id), weights)))
    for (i, site) in sites.enumerated() {
      for name in ["lora_A", "lora_B"] {
        result.point[name, site.id] = try file.tensor("trainable.\(name).\(i)")
        result.gradients["\(name).\(i)"] = TensorKey(name, site.id)
      }
    }
    let ids = sites.map(\.id)
    result.forward = { x, site in site(ids[2], site(ids[1], site(ids[0], x).tanh).tanh) }
    return result
  }

  /// The case with the tensors that all sites share.
  private static func shared(
    _ file: GoldenFile, _ options: [String: OptionValue], _ sites: [Site], _ weights: [SiteID: Tensor]
  ) throws(Refusal) -> GoldenCase {
    var point = Tensors()
    var gradients: [String: TensorKey] = [:]
    for name in ["atoms", "atom_keys", "query_proj", "depth_query", "instruction_proj"] {
      guard let tensor = file.tensors["trainable." + name] else { continue }
      point[name] = name == "depth_query" ? tensor.reshaped([1, tensor.count]) : tensor
      gradients[name] = TensorKey(name)
    }
    if let instruction = file.tensors["frozen.instruction"] { point["instruction"] = instruction }
    return GoldenCase(
      entry: "queryable-lora", options: options, sites: sites, weights: weights, point: point, gradients: gradients)
  }
}
