import Blocks
import Engine
import PEFTKernel

/// GaLore, "Memory-Efficient LLM Training by Gradient Low-Rank Projection" [arXiv:2403.03507]. An optimizer of full weights.
///
///     every T steps:  Q = V_rᵀ of G = U·diag(σ)·Vᵀ          (the shorter side; P = U_r where that is the rows)
///     N = G·Qᵀ,  D = Adam's direction of N,  W ← W − η·c·D·Q,  W ← W − η·λ·W
///
/// - Every weight is trained; only Adam's moments live in r dimensions, in a subspace that follows the gradient.
/// - Moments are kept across a refresh and read in the new basis. The sign of each singular vector then matters: the entry of u_j
///   of largest magnitude is positive.
/// - Weights that no site multiplies by (embeddings, norms, biases) and the output head take ordinary AdamW steps.
/// - State: p·r + 2·q·r floats a weight, p and q its shorter and longer side; Adam's 2·p·q. With `bits: 8` a moment is one byte.
public struct GaLore: UpdateRule {
  public var rank: Int
  /// T.
  public var gap: Int
  /// c.
  public var scale: Double
  public var side: Side
  public var rest: AdamW
  /// Nil for moments in floats.
  public var bytes: ByteMoments.Layout?
  /// Whether Adafactor's factored second moment stands in Adam's place.
  public var factored: Factored?

  /// `proj_type`: which side of a weight is projected.
  public enum Side: String, Sendable, CaseIterable {
    /// The shorter.
    case std
    /// The longer.
    case reverse_std
    case right
    case left
    case full
  }

  /// What Adafactor has beside Adam.
  public struct Factored: Sendable {
    /// Largest root mean square of a direction.
    public var clip: Double
    /// Of a first moment on the scaled direction; nil for none.
    public var beta1: Double?
  }

  public func begin(_ parameters: [Parameter]) throws(Refusal) -> any UpdateState {
    let name = factored == nil ? "galore" : "galore-adafactor"
    if let adapter = parameters.first(where: { $0.role != nil }) {
      throw Refusal(
        "\(name) projects the gradients of full weights; `\(adapter.name)` is an adapter's tensor",
        remedy: "use adamw, or train the base: method full")
    }
    for parameter in parameters where GaLoreState.isTarget(parameter) {
      let most = min(parameter.value.rows, parameter.value.columns)
      guard rank <= most else {
        throw Refusal(
          "\(name) projects to rank \(rank), but `\(parameter.name)` \(parameter.value.shape) has \(most) directions",
          remedy: "set optimizer.rank to at most \(most)")
      }
    }
    return GaLoreState(self, parameters, try rest.begin(parameters.filter { !GaLoreState.isTarget($0) }))
  }
}

/// The optimizers `galore` and `galore-adafactor`.
public enum GaLoreMethod {
  public static let plugin = Plugin("galore", optimizers: [adam, adafactor], goldens: [golden])

  private static let common = [
    OptionSpec("rank", .integer(1...1 << 20), default: .int(128), "directions that moments are kept in", aliases: [.init("r")]),
    OptionSpec("update_proj_gap", .integer(1...1 << 30), default: .int(200), "steps between refreshes of the subspace"),
    OptionSpec(
      "galore_scale", .number(0...1e6, aboveLower: true), default: .double(1), "factor of the projected step",
      aliases: [.init("scale")]),
    OptionSpec(
      "proj_type", .choice(GaLore.Side.allCases.map(\.rawValue)), default: .string("std"), "which side of a weight is projected"),
  ]

  static let adam = AxisDefinition<any UpdateRule>(
    "galore", "AdamW on full weights with moments in a low-rank subspace",
    options: common + PairedOptions.ofAdam().filter { $0.name != "eps" } + [
      OptionSpec(
        "eps", .number(0...1, aboveLower: true), default: .null,
        "added to the root of the second moment; null for 1e-6, or 1e-8 with 8 bits"),
      OptionSpec("bits", .integer(8...32), default: .int(32), "bits of a moment: 8 or 32"),
      OptionSpec("block", .integer(1...1 << 20), default: .int(256), "entries that share a peak, with 8 bits"),
      OptionSpec("min_8bit_size", .integer(0...1 << 40), default: .int(4096), "smaller moments stay floats"),
    ]
  ) { (options) throws(Refusal) in
    let bits = options.int("bits")
    guard bits == 8 || bits == 32 else { throw Refusal("bits is \(bits), but must be 8 or 32") }
    return GaLore(
      rank: options.int("rank"), gap: options.int("update_proj_gap"), scale: options.double("galore_scale"),
      side: GaLore.Side(rawValue: options.string("proj_type")) ?? .std,
      rest: AdamW(outsideOfPairs: options, eps: options.optionalDouble("eps") ?? (bits == 8 ? 1e-8 : 1e-6)),
      bytes: bits == 8
        ? ByteMoments.Layout(block: options.int("block"), smallest: options.int("min_8bit_size")) : nil)
  }

  static let adafactor = AxisDefinition<any UpdateRule>(
    "galore-adafactor", "Adafactor on full weights with moments in a low-rank subspace",
    options: common + [
      OptionSpec("clip", .number(0...1e6, aboveLower: true), default: .double(1), "largest root mean square of a direction"),
      OptionSpec("beta1", .number(0...1, belowUpper: true), default: .null, "decay of a first moment; null for none"),
      PairedOptions.weightDecay(),
    ]
  ) { (options) throws(Refusal) in
    GaLore(
      rank: options.int("rank"), gap: options.int("update_proj_gap"), scale: options.double("galore_scale"),
      side: GaLore.Side(rawValue: options.string("proj_type")) ?? .std, rest: AdamW(weightDecay: options.double("weight_decay")),
      factored: GaLore.Factored(clip: options.double("clip"), beta1: options.optionalDouble("beta1")))
  }
}
