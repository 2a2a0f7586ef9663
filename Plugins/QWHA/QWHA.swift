import Blocks
import PEFTKernel

/// QWHA, "Quantization-Aware Walsh-Hadamard Adaptation" [arXiv:2509.17428].
///
///     y = x·W_Qᵀ + b + α·(x·Pᵀ)·Fᵀ,   F sparse,   P the orthonormal Walsh–Hadamard transform
///
/// - Projection: `SparseSpectrum`. F [out, n'] holds p = r·(in + out) numbers, as many as LoRA of rank r, at stored places.
/// - Start: `quantization-error` in the Gram metric. F begins as what cancels most of the error that quantization left in the
///   layer's output (Eqs. 6–9), so the model at step 0 is nearer to the original than W_Q is. With `fill` places are random and
///   F = 0: step 0 is the base, quantized or not.
/// - Trainable: the values of F.
///
/// Why: a low-rank update cannot follow quantization errors, which have no low rank. A few Walsh–Hadamard coefficients a row reach
/// every entry of it, and the transform has nothing but signs.
public enum QWHAMethod {
  public static let plugin = Plugin("qwha", projections: [SparseSpectrum.definition], goldens: [golden])
}

extension SparseSpectrum {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec(
      "rank", .integer(1...1 << 20), default: .int(64), "rank of the LoRA with as many numbers, r·(in + out)",
      aliases: [.init("r")]),
    OptionSpec(
      "count", .integer(1...Int(Int32.max)), default: .null, "coefficients of every site; null to follow from the rank",
      aliases: [.init("n_params")]),
    OptionSpec(
      "alpha", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude), default: .double(1),
      "factor α of the change, not 0"),
    OptionSpec(
      "scaling", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .null,
      "the same as α·√(in·out), in place of alpha"),
    OptionSpec(
      "allocation", .choice(Allocation.allCases.map(\.rawValue)), default: .string("output"),
      "what a row's share of the coefficients goes by: the error of its output or of its weight"),
    OptionSpec(
      "selection", .choice(Selection.allCases.map(\.rawValue)), default: .string("magnitude"),
      "which coefficients a row takes: the largest, or those with the most energy on the inputs"),
    OptionSpec(
      "temperature", .number(0...Double.greatestFiniteMagnitude), default: .double(1),
      "how unevenly rows share; 0 for equal shares", aliases: [.init("t")]),
  ]

  public init(_ options: Options) throws(Refusal) {
    let alpha = options.double("alpha")
    guard alpha != 0 else {
      throw Refusal("alpha is 0, and nothing scaled by it could be trained", remedy: "use 1, or leave sites out")
    }
    guard alpha == 1 || options.optionalDouble("scaling") == nil else {
      throw Refusal("alpha and scaling are both given, and say the same in two ways", remedy: "give one of them")
    }
    self.init(
      size: options.optionalInt("count").map(Size.count) ?? .rank(options.int("rank")),
      factor: options.optionalDouble("scaling").map(Factor.scaling) ?? .alpha(alpha),
      allocation: Allocation(rawValue: options.string("allocation")) ?? .output,
      selection: Selection(rawValue: options.string("selection")) ?? .magnitude, temperature: options.double("temperature"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "walsh-hadamard", "ΔW = α·F·P, F sparse and P the Walsh–Hadamard transform of the input axis", options: options
  ) { (options) throws(Refusal) in try SparseSpectrum(options) }
}
