import Engine
import PEFTKernel

/// The options that rules for pairs have in common, under the names of their papers.
public enum PairedOptions {
  public static let beta1 = OptionSpec(
    "beta1", .number(0...1, belowUpper: true), default: .double(0.9), "decay of the first moment")
  public static let beta2 = OptionSpec(
    "beta2", .number(0...1, belowUpper: true), default: .double(0.999), "decay of the second moment")

  public static func eps(_ standard: Double = 1e-8, _ summary: String = "added to the root of the second moment") -> OptionSpec {
    OptionSpec("eps", .number(0...1, aboveLower: true), default: .double(standard), summary)
  }

  public static func weightDecay(_ standard: Double = 0) -> OptionSpec {
    OptionSpec("weight_decay", .number(0...Double.greatestFiniteMagnitude), default: .double(standard), "decoupled decay")
  }

  /// Those of AdamW, which every such rule leaves the parameters outside of pairs to.
  public static func ofAdam(eps: Double = 1e-8, weightDecay: Double = 0) -> [OptionSpec] {
    [beta1, beta2, Self.eps(eps), Self.weightDecay(weightDecay)]
  }

  /// δ of (M + δ·I)⁻¹.
  public static func reg(_ standard: Double) -> OptionSpec {
    OptionSpec(
      "reg", .number(0...Double.greatestFiniteMagnitude), default: .double(standard),
      "added to the diagonal of BᵀB and AAᵀ; 0 needs factors of full rank")
  }
}

extension AdamW {
  /// The rule of parameters outside of pairs, with the numbers of the pairs' own rule.
  public init(outsideOfPairs options: Options, eps: Double? = nil) {
    self.init(
      beta1: options.double("beta1"), beta2: options.double("beta2"), eps: eps ?? options.double("eps"),
      weightDecay: options.double("weight_decay"))
  }
}

extension AdamW {
  /// Adam(g) = m̂/(√v̂ + eps), in double, with moments that are kept in m and v, where they lie.
  public func adam(_ gradient: Tensor, m: Tensor, v: Tensor, count: Int) -> Tensor {
    let step = Tensor.zeros(gradient.shape, m.scalar)
    // 0 − (−1)·Adam(g).
    step.adamW(
      gradient: gradient.converted(to: m.scalar), m: m, v: v,
      AdamWStep(learningRate: -1, beta1: beta1, beta2: beta2, eps: eps, weightDecay: 0, count: count))
    return step.converted(to: .float64)
  }
}
