import Engine
import PEFTKernel

/// Reads reference files of Uni-LoRA.
enum UniLoRAGolden {
  /// `unilora`: one site, whose θ_d other sites may share; their share shows in the norms only.
  static let oneSite = GoldenReader(reads: { $0.isOf("unilora") }, read: readOneSite)

  /// `shared_sites` of this kind: y = site₂(tanh(site₁(x))), one θ_d.
  static let sharedSites = GoldenReader(
    reads: { $0.isOf("shared_sites") && $0.config["kind"] == .string("unilora") }, read: readSharedSites)

  @Sendable private static func readOneSite(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    var result = try problem(file, [(site, weight)], file.options)
    result.point[FactorPlace.indexA, site.id] = try index(file, "frozen.unilora_indices_A", [result.rank, site.inputs])
    result.point[FactorPlace.indexB, site.id] = try index(file, "frozen.unilora_indices_B", [site.outputs, result.rank])
    guard let whole = file.integers["given.indices"] else { return result.problem }
    let length = result.point["unilora_theta_d"].count
    guard whole.allSatisfy({ $0 >= 0 && $0 < length }) else { throw Refusal("given.indices leaves 0..<\(length)") }
    let list = whole.map { Int32($0) }
    let counts = Tensor(Assignment.counts(list, length: length).map(Double.init), .float64)
    let norms = Assignment.norms(list, length: length)
    result.problem.initial["counts"] = always(counts)
    result.problem.initial["ptp_diag"] = always(counts * norms * norms)
    return result.problem
  }

  @Sendable private static func readSharedSites(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    let weights = [try file.tensor("weight"), try file.tensor("frozen.weight_2")]
    let sites = weights.enumerated().map { Site(id: SiteID("site\($0 + 1)"), outputs: $1.rows, inputs: $1.columns) }
    let options = file.options.filter { $0.key != "kind" && $0.key != "hid" }
    var result = try problem(file, Array(zip(sites, weights)), options)
    guard let list = file.integers["frozen.indices"] else { throw Refusal("the file has no tensor frozen.indices") }
    var rest = list[...]
    for site in sites {
      for (name, shape) in [
        (FactorPlace.indexA, [result.rank, site.inputs]), (FactorPlace.indexB, [site.outputs, result.rank]),
      ] {
        let part = rest.prefix(shape[0] * shape[1])
        guard part.count == shape[0] * shape[1] else { throw Refusal("frozen.indices holds too few indices") }
        rest = rest.dropFirst(part.count)
        result.point[name, site.id] = Tensor(part.map(Double.init), shape: shape, .float64)
      }
    }
    let (first, second) = (sites[0].id, sites[1].id)
    result.problem.forward = { x, site in site(second, site(first, x).tanh) }
    return result.problem
  }

  private static func always(_ tensor: Tensor) -> @Sendable (GoldenStart) throws(Refusal) -> Tensor {
    { (_) throws(Refusal) in tensor }
  }

  /// A case in the making.
  private struct Draft {
    var problem: GoldenCase
    let rank: Int

    var point: Tensors {
      get { problem.point }
      set { problem.point = newValue }
    }
  }

  private static func problem(
    _ file: GoldenFile, _ sites: [(site: Site, weight: Tensor)], _ options: [String: OptionValue]
  ) throws(Refusal) -> Draft {
    let key = TensorKey("unilora_theta_d")
    var point = Tensors([key: try file.tensor("trainable.unilora_theta_d")])
    if let norms = file.tensors["frozen.norms"] { point["unilora_norms"] = norms }
    let problem = GoldenCase(
      entry: "uni-lora", options: options, sites: sites.map(\.site),
      weights: Dictionary(uniqueKeysWithValues: sites.map { ($0.site.id, $0.weight) }), point: point,
      gradients: ["unilora_theta_d": key])
    guard let rank = file.int("r") else { throw Refusal("the file's config has no r") }
    return Draft(problem: problem, rank: rank)
  }

  private static func index(_ file: GoldenFile, _ name: String, _ shape: [Int]) throws(Refusal) -> Tensor {
    guard let list = file.integers[name] else { throw Refusal("the file has no tensor \(name)") }
    guard list.count == shape[0] * shape[1] else { throw Refusal("\(name) holds \(list.count) numbers, not \(shape)") }
    return Tensor(list.map(Double.init), shape: shape, .float64)
  }
}
