import Blocks
import PEFTKernel

/// DoRA, "Weight-Decomposed Low-Rank Adaptation" [arXiv:2402.09353], by factored norms [arXiv:2603.22276].
///
///     y = g ⊙ (x·Wᵀ + s·(x·Aᵀ)·Bᵀ) + b,   g_i = m_i / ‖(W + s·B·A)_i‖
///
/// - Projection: `WeightDecomposed`. A low-rank pair turns the rows of W, a magnitude m says how long they are.
/// - Start: A and B as any start of a pair, by default A ~ U(±1/√in), B = 0; m = the rows' lengths by the routine that
///   computes them ever after, so that g = 1 exactly and step 0 is the base.
/// - Trainable: A, B and m, r·(in + out) + out numbers a site. m is not decayed.
public enum DoRAMethod {
  public static let plugin = Plugin("dora", projections: [WeightDecomposed.definition], goldens: [DoRAGolden.reader])
}

extension WeightDecomposed {
  /// The pair's options and two of its own. A rank beyond a site's size is allowed: it changes how lengths are computed.
  public static let options: [OptionSpec] =
    LowRank.options.filter { !["bias", "allow_excess_rank"].contains($0.name) } + [
      OptionSpec(
        "detach_norm", .boolean, default: .bool(true),
        "whether the lengths of rows are constants under differentiation (paper, section 4.3)"),
      OptionSpec(
        "norm_chunk_mb", .integer(16...1 << 20), default: .int(256), "megabytes that the products behind the lengths may take"),
    ]

  public init(_ options: Options) throws(Refusal) {
    var pair = try LowRank(options)
    pair.allowsExcessRank = true
    self.init(pair: pair, detachesNorm: options.bool("detach_norm"), chunk: options.int("norm_chunk_mb") << 20)
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "weight-decomposed", "W' = diag(m / row lengths)·(W + s·B·A): directions from a low-rank pair, lengths of their own",
    options: options
  ) { (options) throws(Refusal) in try WeightDecomposed(options) }
}
