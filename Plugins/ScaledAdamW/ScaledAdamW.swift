import Blocks
import Engine
import PEFTKernel

/// The optimizers `scaled-gd` and `scaled-adamw`.
public enum ScaledAdamWMethod {
  public static let plugin = Plugin(
    "scaled-adamw", optimizers: [ScaledRule.gradientDescent, ScaledRule.adamW], goldens: [golden])
}

/// Riemannian preconditioned LoRA [arXiv:2402.02347].
///
///     ĝ_A = (BᵀB + δ·I)⁻¹·g_A,   ĝ_B = g_B·(AAᵀ + δ·I)⁻¹
///     scaled-gd:     X ← X − η·ĝ_X
///     scaled-adamw:  X ← X − η·Adam(ĝ_X),   both moments of what is preconditioned
///
/// Each factor's gradient is divided by the other's size: for δ = 0 the effect s·B·ĝ_A on the weight is s²·P_B·G, the
/// gradient projected on what B can do, whatever basis the pair is written in. State: none, or AdamW's 2·r·(in + out).
///
/// Both factors step from the old ones and Adam corrects its bias, as Hugging Face PEFT has it; the paper's code updates B
/// with the new A.
public struct ScaledRule: PairedRule {
  public enum Moments: Sendable {
    case none
    case adam
  }

  public var moments: Moments
  /// δ.
  public var reg: Double
  /// β₁, β₂ and eps of Adam, and λ.
  public var rest: AdamW

  public var name: String { moments == .adam ? "scaled-adamw" : "scaled-gd" }

  public func check(_ pairs: [TrainedPair]) throws(Refusal) {
    if reg == 0 { try pairs.requireFullRank(for: name, "reg") }
  }

  public func memory(of pair: TrainedPair) -> [String: [Int]] {
    guard moments == .adam else { return [:] }
    let (a, b) = (pair.down.value.shape, pair.up.value.shape)
    return ["m_A": a, "v_A": a, "m_B": b, "v_B": b]
  }

  public func direction(_ p: PairStep, _ memory: inout PairMemory, sum: Double) throws(LinearAlgebraError) -> PairDirection? {
    let scaledA = try Cholesky((p.b.t ⋅ p.b).damped(reg)).solve(p.gradA)
    let scaledB = try Cholesky((p.a ⋅ p.a.t).damped(reg)).solve(right: p.gradB)
    guard moments == .adam else { return PairDirection(a: scaledA, b: scaledB) }
    return PairDirection(
      a: rest.adam(scaledA, m: memory.kept("m_A"), v: memory.kept("v_A"), count: memory.count),
      b: rest.adam(scaledB, m: memory.kept("m_B"), v: memory.kept("v_B"), count: memory.count))
  }
}

extension ScaledRule {
  public static let gradientDescent = definition("scaled-gd", "gradient descent on preconditioned factors", .none)
  public static let adamW = definition("scaled-adamw", "AdamW on preconditioned gradients of factors", .adam)

  private static func definition(_ name: String, _ summary: String, _ moments: Moments) -> AxisDefinition<any UpdateRule> {
    AxisDefinition(name, summary, options: PairedOptions.ofAdam() + [PairedOptions.reg(1e-2)]) { (options) throws(Refusal) in
      ScaledRule(moments: moments, reg: options.double("reg"), rest: AdamW(outsideOfPairs: options))
    }
  }
}

extension ScaledAdamWMethod {
  static let golden = GoldenReader.ofPairs([ScaledRule.gradientDescent, ScaledRule.adamW])
}
