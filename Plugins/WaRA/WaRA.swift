import Blocks
import Engine
import PEFTKernel

/// WaRA, "Wavelet Low Rank Adaptation" [arXiv:2506.24092, v1].
///
///     ΔW = s·(L_oᵀ·B·A·L_i + H_oᵀ·B·A·H_i),   A [r, in/2], B [out/2, r],   s = alpha/r
///
/// with L and H the low- and high-pass of an orthogonal wavelet on the output and the input axis.
///
/// - Projection: `WaveletBands`. A pair acts in the bands of a wavelet transform of both axes, so one of r·(in + out)/2 numbers makes
///   an update of rank 2r. Further levels, and a pair for each band of the two-dimensional transform, are options.
/// - Start: without evidence, as LoRA's: A ~ U(−1/√m, 1/√m) with m its columns, B = 0, so that step 0 is the base.
/// - Trainable: A and B of every band: r·Σ_j (N_in + N_out)/2^j a site where bands share a pair, and
///   3r·Σ_j (N_in + N_out)/2^j + r·(N_in + N_out)/2^J where each has its own.
///
/// Why: a low-rank product over the whole of an axis sees one resolution. In bands, what neighbours have in common and what tells them
/// apart are changed by products of their own size. The paper's figure transforms features and tokens; over tokens the transform cancels,
/// which leaves this change of the weight. The default wavelet is db2: with haar, one level and a shared pair, ΔW is (B·A) ⊗ I₂, in
/// which half of the entries are zero.
public enum WaRAMethod {
  public static let plugin = Plugin("wara", projections: [projection], goldens: [golden])

  static let projection = AxisDefinition<any Projection>(
    "wavelet", "ΔW = s·(low-rank products in the bands of a wavelet transform of both axes)",
    options: [
      OptionSpec("rank", .integer(1...1 << 20), default: .int(8), "rank of the product in a band", aliases: [.init("r")]),
      OptionSpec(
        "alpha", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .null,
        "numerator of the scale alpha/rank; null for 2·rank"),
      OptionSpec("wavelet", .choice(Wavelet.all.map(\.name)), default: .string("db2"), "the orthogonal wavelet"),
      OptionSpec("levels", .integer(1...20), default: .int(1), "how often an axis is halved"),
      OptionSpec(
        "bands", .choice(WaveletBands.Bands.allCases.map(\.rawValue)), default: .string("shared"),
        "one pair a level, or one for each band of the two-dimensional transform"),
      OptionSpec(
        "dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout on the branch's input, in training",
        aliases: [.init("wara_dropout")]),
    ]
  ) { (options) throws(Refusal) in
    guard let wavelet = Wavelet(options.string("wavelet")) else { throw Refusal("unknown wavelet \(options.string("wavelet"))") }
    return WaveletBands(
      rank: options.int("rank"), alpha: options.optionalDouble("alpha"), wavelet: wavelet, levels: options.int("levels"),
      bands: WaveletBands.Bands(rawValue: options.string("bands")) ?? .shared, dropout: options.double("dropout"))
  }
}
