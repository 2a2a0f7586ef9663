import Engine
import PEFTKernel

/// Hydra, "Multi-head Low-rank Adaptation for Parameter Efficient Fine-tuning" [arXiv:2309.06922].
///
///     y = f + s·B_p·A_p·x + s·B_s·A_s·f,   f = W·x + b
///
/// - Projection: `ParallelSequential`. LoRA beside a map and a second pair behind it, with biases where asked for.
/// - Start: `BranchDraws`. Both A drawn, both B zero: step 0 is the base to the bit, and both B move first.
/// - Trainable: r_p·(in + out) + 2·r_s·out numbers a site; with biases r_p + out and r_s + out more, with a trained scale 1 more.
///
/// The defaults of the options are those for images, which the spec names first; `methods/hydra.yaml` is the one for language.
public enum HydraMethod {
  public static let plugin = Plugin(
    "hydra", projections: [ParallelSequential.definition], inits: [BranchDraws.definition], goldens: [golden])

  static let golden = GoldenReader(reads: { $0.isOf("hydra") }, read: read)

  @Sendable private static func read(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    let weight = try file.tensor("weight")
    let bias = file.tensors["frozen.bias"]
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns, hasBias: bias != nil)
    var (point, gradients) = (Tensors(), [String: TensorKey]())
    for name in ["par_A", "par_B", "seq_A", "seq_B"].flatMap({ ["hydra_\($0)", "hydra_\($0)_bias"] }) + ["hydra_scale"] {
      guard let value = file.tensors["trainable.\(name)"] else { continue }
      let key = TensorKey(name, site.id)
      point[key] = value
      gradients[name] = key
    }
    var options = file.options
    options["base_bias"] = nil
    // Left out, it is on for images and off for language: the tensors say which is meant.
    if options["adapter_bias"] == nil {
      options["adapter_bias"] = .bool(point.values.keys.contains { $0.name.hasSuffix("bias") })
    }
    var problem = GoldenCase(
      entry: "hydra", options: options, sites: [site], weights: [site.id: weight], point: point, gradients: gradients)
    if let bias { problem.biases = [site.id: bias] }
    let own = Tensors(point.values.mapValues { $0.converted(to: .float32) })
    if file.tensors.names.contains("given.expect_merged_bias") {
      problem.expected = [
        "given.expect_merged_bias": { (made) throws(Refusal) in try made.mergedBias(own, at: site) }
      ]
    }
    return problem
  }
}

extension GoldenStart {
  /// b' of some tensors.
  fileprivate func mergedBias(_ tensors: Tensors, at site: Site) throws(Refusal) -> Tensor {
    let change = try weightChange(tensors, at: site).bias ?? .zeros([site.outputs])
    guard let bias = biases[site.id] else { return change }
    return bias.converted(to: change.scalar) + change
  }
}

extension ParallelSequential {
  /// The options that make one.
  public static let options: [OptionSpec] = [
    OptionSpec("r_par", .integer(0...65_536), default: .int(2), "rank of the branch beside the map; 0 for none"),
    OptionSpec("r_seq", .integer(0...65_536), default: .int(2), "rank of the branch behind the map; 0 for none"),
    OptionSpec(
      "scale", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude), default: .double(1),
      "factor of both branches"),
    OptionSpec("learn_scale", .boolean, default: .bool(false), "whether the factor is trained, one number a site"),
    OptionSpec("adapter_bias", .boolean, default: .bool(true), "whether the branches have biases"),
    OptionSpec(
      "dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout between the factors of a branch, in training"),
  ]

  public init(_ options: Options) throws(Refusal) {
    try self.init(
      parallelRank: options.int("r_par"), sequentialRank: options.int("r_seq"), factor: options.double("scale"),
      learnsFactor: options.bool("learn_scale"), hasBias: options.bool("adapter_bias"),
      innerDropout: options.double("dropout"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "parallel-sequential", "y = f + s·B_p·A_p·x + s·B_s·A_s·f with f = W·x + b", options: options
  ) { (options) throws(Refusal) in try ParallelSequential(options) }
}
