import Blocks
import PEFTKernel

/// FourierFT, "Parameter-Efficient Fine-Tuning with Discrete Fourier Transform" [arXiv:2405.03003].
///
///     ΔW = s·Re(F⁻¹(S)),   S [out, in] zero but for n trained numbers
///
/// - Projection: `SparseFrequencies`. The places of the numbers are drawn from a seed, the same at all sites of one shape.
/// - Start: numbers from N(0, 1), near the base and not at it; `exact_start` takes away what they change. With `init_weights` they are
///   0, and step 0 is the base.
/// - Trainable: the n numbers of each site, whatever its size.
///
/// Why: one frequency reaches every entry of a weight, so few numbers make a change that is nowhere zero.
public enum FourierFTMethod {
  public static let plugin = Plugin("fourierft", projections: [SparseFrequencies.definition], dialects: [dialect])

  static let dialect = Dialect(
    "FOURIERFT",
    options: [
      "n_frequency": .int(1000), "scaling": .double(150), "random_loc_seed": .int(777), "n_frequency_pattern": .map([:]),
      "init_weights": .bool(false),
    ],
    counts: .init(of: SparseFrequencies.spectrum, option: "n_frequency", pattern: "n_frequency_pattern"),
    fusedTargets: ["mlp.down"])
}

extension SparseFrequencies {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec("n_frequency", .integer(1...1 << 22), default: .int(1000), "trained numbers of every site"),
    OptionSpec("n_frequency_pattern", .table, default: .map([:]), "their count by site pattern"),
    OptionSpec(
      "scaling", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude), default: .double(150),
      "factor s of the change, not 0"),
    OptionSpec("random_loc_seed", .integer(0...Int.max), default: .int(777), "seed of the numbers' places"),
    OptionSpec(
      "init_weights", .boolean, default: .bool(false), "whether the numbers start at 0; false draws them from N(0, 1)"),
  ]

  public init(_ options: Options) throws(Refusal) {
    let scaling = options.double("scaling")
    let pattern = try SitePatterns.counts("n_frequency_pattern", of: options, in: 1...1 << 22)
    guard scaling != 0 else { throw Refusal("scaling is 0, and nothing scaled by it could be trained") }
    self.init(
      count: options.int("n_frequency"), pattern: pattern, scaling: scaling,
      seed: UInt64(options.int("random_loc_seed")), startsAtBase: options.bool("init_weights"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "sparse-frequencies", "ΔW = s·Re(F⁻¹(S)), S sparse and F the discrete Fourier transform of both axes", options: options
  ) { (options) throws(Refusal) in try SparseFrequencies(options) }
}
