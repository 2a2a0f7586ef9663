import Engine
import PEFTKernel

/// Block-LoRA, "One Head Eight Arms: Block Matrix based Low Rank Adaptation" [arXiv:2501.16720].
///
///     y = x·Wᵀ + b + s·(x·Aᵀ)·(Σ_i B_i)ᵀ,   A [r/n, in], B_i [out, r/n],   s = alpha/√r
///
/// - Projection: `BlockLowRank`. LoRA's factors in n blocks that share one down block; or the same A for n slices of the input.
/// - Start: `SharedHead`. A ~ U(±1/√its inputs), B = 0: step 0 is the base.
/// - Trainable: A and B of every site, r·(out + in/n) numbers where LoRA has r·(out + in).
public enum BlockLoRAMethod {
  public static let plugin = Plugin(
    "block-lora", projections: [BlockLowRank.definition], inits: [SharedHead.definition], goldens: [golden])

  static let golden = GoldenReader(reads: { $0.isOf("block-lora") }) { (file) throws(Refusal) in
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    var (point, gradients) = (Tensors(), [String: TensorKey]())
    for name in ["lora_A", "lora_B"] {
      let key = TensorKey(name, site.id)
      point[key] = try file.tensor("trainable.\(name)")
      gradients[name] = key
    }
    return GoldenCase(
      entry: "block-lora", options: file.options, sites: [site], weights: [site.id: weight], point: point,
      gradients: gradients)
  }
}

extension BlockLowRank {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec(
      "rank", .integer(1...65_536), default: .int(4), "rank over all blocks", aliases: [.init("r"), .init("lora_rank")]),
    OptionSpec("blocks", .integer(1...65_536), default: .int(2), "number of blocks", aliases: [.init("n")]),
    OptionSpec(
      "partition", .choice(Partition.allCases.map(\.rawValue)), default: .string("rank"),
      "what is cut: the rank, into up factors that are added, or the input, into slices that are added"),
    OptionSpec(
      "alpha", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .double(1), "numerator of the scale",
      aliases: [.init("lora_alpha")]),
    OptionSpec(
      "scaling", .choice(["standard", "rslora"]), default: .string("rslora"), "alpha/rank (standard) or alpha/√rank (rslora)",
      aliases: [.init("use_rslora", [.bool(true): .string("rslora"), .bool(false): .string("standard")])]),
    OptionSpec(
      "dropout", .number(0...1, belowUpper: true), default: .double(0.25), "dropout on the branch's input, in training",
      aliases: [.init("lora_dropout")]),
  ]

  public init(_ options: Options) throws(Refusal) {
    try self.init(
      rank: options.int("rank"), blocks: options.int("blocks"),
      partition: Partition(rawValue: options.string("partition")) ?? .rank, alpha: options.double("alpha"),
      isRankStabilized: options.string("scaling") == "rslora", dropout: options.double("dropout"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "block-low-rank", "ΔW = s·(Σ_i B_i)·A, or s·B·A of summed slices of the input", options: options
  ) { (options) throws(Refusal) in try BlockLowRank(options) }
}
