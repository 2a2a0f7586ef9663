import PEFTKernel

/// VeRA, "Vector-based Random Matrix Adaptation" [arXiv:2310.11454].
///
///     ΔW = diag(λ_b)·B·diag(λ_d)·A,   A [r, in], B [out, r] random, frozen and the same at every site
///
/// - Projection: `SharedFactors`. One A and one B serve the whole model; a site uses their leading columns and rows.
/// - Start: λ_d = 0.1, λ_b = 0, so that step 0 is the base; λ_d has no gradient until λ_b has moved.
/// - Trainable: λ_d and λ_b, r + out numbers a site.
public enum VeRAMethod {
  public static let plugin = Plugin("vera", projections: [SharedFactors.definition], dialects: [dialect])

  static let dialect = Dialect(
    "VERA",
    options: [
      "r": .int(256), "projection_prng_key": .int(0), "save_projection": .bool(true), "vera_dropout": .double(0),
      "d_initial": .double(0.1), "init_weights": .bool(true),
    ])
}

extension SharedFactors {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec(
      "rank", .integer(1...65_536), default: .int(256), "rows of A, and numbers in λ_d; many, as they cost little",
      aliases: [.init("r")]),
    OptionSpec(
      "d_initial", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude), default: .double(0.1),
      "what every λ_d starts at"),
    OptionSpec("projection_prng_key", .integer(0...Int.max), default: .int(0), "seed that A and B are drawn from"),
    OptionSpec("save_projection", .boolean, default: .bool(true), "whether files hold A and B, not only their seed"),
    OptionSpec(
      "init_weights", .boolean, default: .bool(true), "whether λ start so; false draws λ_d from N(0, 1), with λ_b = 1, for tests"),
    OptionSpec(
      "dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout on the branch's input, in training",
      aliases: [.init("vera_dropout")]),
  ]

  public init(_ options: Options) {
    self.init(
      rank: options.int("rank"), initial: options.bool("init_weights") ? options.double("d_initial") : nil,
      seed: UInt64(options.int("projection_prng_key")), savesProjection: options.bool("save_projection"),
      dropout: options.double("dropout"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "shared-factors", "ΔW = diag(λ_b)·B·diag(λ_d)·A, A and B random and shared by all sites", options: options
  ) { (options) throws(Refusal) in SharedFactors(options) }
}
