import PEFTKernel

/// RandLoRA, "Full-rank parameter-efficient fine-tuning of large models" [arXiv:2502.00987].
///
///     ΔW = s·Σ_b B_b·diag(λ[:, b])·A·diag(γ[b, :]),   N = ⌈min(out, in)/r⌉ random products of rank r
///
/// - Projection: `RandomBases`. The random bases are frozen and shared by the model; few numbers make an update of full rank.
/// - Start: λ = 0 and γ = 1/max(N, min(out, in)), so that step 0 is the base; γ has no gradient until λ has moved.
/// - Trainable: λ [r, N] and γ [N, min(out, in)]: the smaller r, the more.
///
/// Why: with as many numbers as a LoRA, an update of full rank, if within a random family. What decays over singular values LoRA fits
/// better, what is flat over them this.
public enum RandLoRAMethod {
  public static let plugin = Plugin(
    "randlora", projections: [RandomBases.definition], goldens: [golden], dialects: [dialect])

  static let dialect = Dialect(
    "RANDLORA",
    options: [
      "r": .int(32), "randlora_alpha": .int(640), "projection_prng_key": .int(0), "save_projection": .bool(true),
      "sparse": .bool(false), "very_sparse": .bool(false), "randlora_dropout": .double(0), "init_weights": .bool(true),
    ],
    implied: ["pairing": .string("flat"), "sqrt_bases": .bool(false)],
    repeated: [RandomBases.down, RandomBases.up])
}

extension RandomBases {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec(
      "rank", .integer(1...65_536), default: .int(32), "rank of each random product; the smaller, the more are trained",
      aliases: [.init("r")]),
    OptionSpec(
      "alpha", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude), default: .double(640),
      "numerator of the scale alpha/rank", aliases: [.init("randlora_alpha")]),
    OptionSpec("sqrt_bases", .boolean, default: .bool(false), "whether the scale is divided by √N"),
    OptionSpec(
      "pairing", .choice(Pairing.allCases.map(\.rawValue)), default: .string("flat"),
      "which columns of the bases meet which rows: as in PEFT's files (flat), or each product its own (basis)"),
    OptionSpec("projection_prng_key", .integer(0...Int.max), default: .int(0), "seed that the bases are drawn from"),
    OptionSpec("save_projection", .boolean, default: .bool(true), "whether files hold the bases, not only their seed"),
    OptionSpec("sparse", .boolean, default: .bool(false), "bases of −1, 0 and 1, two thirds of them 0, scaled"),
    OptionSpec("very_sparse", .boolean, default: .bool(false), "the same with all but 1/√min(out, in) of them 0"),
    OptionSpec(
      "init_weights", .boolean, default: .bool(true), "whether λ starts at 0; false draws it from N(0, 1), for tests"),
    OptionSpec(
      "dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout on the branch's input, in training",
      aliases: [.init("randlora_dropout")]),
  ]

  public init(_ options: Options) throws(Refusal) {
    let kind: Kind = options.bool("very_sparse") ? .verySparse : options.bool("sparse") ? .sparse : .dense
    self.init(
      rank: options.int("rank"), alpha: options.double("alpha"), dividesByRoot: options.bool("sqrt_bases"),
      pairing: Pairing(rawValue: options.string("pairing")) ?? .flat, kind: kind,
      seed: UInt64(options.int("projection_prng_key")), savesProjection: options.bool("save_projection"),
      startsAtBase: options.bool("init_weights"), dropout: options.double("dropout"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "random-bases", "ΔW = s·Σ B_b·diag(λ_b)·A·diag(γ_b), A and all B_b random and shared by all sites", options: options
  ) { (options) throws(Refusal) in try RandomBases(options) }
}
