import Blocks
import PEFTKernel

/// WaveFT, "Exploring Sparsity for Parameter Efficient Fine Tuning Using Wavelets" [arXiv:2505.12532].
///
///     ΔW = s·R(S),   S [out, in] zero but for n trained numbers, R one level of an inverse wavelet transform of both axes
///
/// - Projection: `SparseWavelets`. The places of the numbers are drawn from a seed, the same at all sites of one shape.
/// - Start: the numbers are 0, so that step 0 is the base.
/// - Trainable: the n numbers of each site; with `proportional_parameters` a share of as many as all have by the site's size.
///
/// Why: a wavelet reaches a few neighbours, so that a change is sparse as SHiRA's is, but smoother; `use_idwt: false` is SHiRA's.
public enum WaveFTMethod {
  public static let plugin = Plugin("waveft", projections: [SparseWavelets.definition], dialects: [dialect])

  static let dialect = Dialect(
    "WAVEFT",
    options: [
      "n_frequency": .int(2592), "scaling": .double(25), "wavelet_family": .string("db1"), "use_idwt": .bool(true),
      "random_loc_seed": .int(777), "n_frequency_pattern": .map([:]), "proportional_parameters": .bool(false),
      "init_weights": .bool(true),
    ],
    counts: .init(
      of: SparseWavelets.spectrum, option: "n_frequency", pattern: "n_frequency_pattern", unless: "proportional_parameters"),
    fusedTargets: ["mlp.down"])
}

extension SparseWavelets {
  /// Other names of db1 are left out: PEFT does not know them.
  static let wavelets = Wavelet.all.filter { $0.name != "haar" }

  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec("n_frequency", .integer(1...1 << 22), default: .int(2592), "trained numbers of every site"),
    OptionSpec("n_frequency_pattern", .table, default: .map([:]), "their count by site pattern"),
    OptionSpec(
      "proportional_parameters", .boolean, default: .bool(false),
      "whether sites share as many numbers by their sizes, in place of the same for each"),
    OptionSpec(
      "scaling", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude), default: .double(25),
      "factor s of the change, not 0"),
    OptionSpec(
      "wavelet", .choice(wavelets.map(\.name)), default: .string("db1"), "the orthogonal wavelet",
      aliases: [.init("wavelet_family")]),
    OptionSpec("use_idwt", .boolean, default: .bool(true), "whether the numbers are wavelet coefficients; false for entries"),
    OptionSpec("random_loc_seed", .integer(0...Int.max), default: .int(777), "seed of the numbers' places"),
    OptionSpec(
      "init_weights", .boolean, default: .bool(true), "whether the numbers start at 0; false draws them from N(0, 0.0001)"),
  ]

  public init(_ options: Options) throws(Refusal) {
    let scaling = options.double("scaling")
    let pattern = try SitePatterns.counts("n_frequency_pattern", of: options, in: 1...1 << 22)
    guard scaling != 0 else { throw Refusal("scaling is 0, and nothing scaled by it could be trained") }
    guard let wavelet = Wavelet(options.string("wavelet")) else { throw Refusal("unknown wavelet \(options.string("wavelet"))") }
    self.init(
      count: options.int("n_frequency"), pattern: pattern, isProportional: options.bool("proportional_parameters"),
      scaling: scaling, wavelet: options.bool("use_idwt") ? wavelet : nil, seed: UInt64(options.int("random_loc_seed")),
      startsAtBase: options.bool("init_weights"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "sparse-wavelets", "ΔW = s·R(S), S sparse and R an inverse wavelet transform of both axes", options: options
  ) { (options) throws(Refusal) in try SparseWavelets(options) }
}
