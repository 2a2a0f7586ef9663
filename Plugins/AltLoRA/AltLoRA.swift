import Blocks
import Engine
import PEFTKernel

/// The optimizers `altlora` and `altlora-plus`.
public enum AltLoRAMethod {
  public static let plugin = Plugin("altlora", optimizers: [AltLoRARule.plain, AltLoRARule.plus], goldens: [golden])

  static let golden = GoldenReader.ofPairs([AltLoRARule.plain, AltLoRARule.plus])
}

/// AltLoRA and AltLoRA+ [arXiv:2505.12455].
///
/// One factor moves, the other is frozen, by turns, A first. When A moves for the k-th time, with C the frozen B as it is now
/// and C° as it was at A's last move:
///
///     T(m) = (CᵀC + δ·I)⁻¹·CᵀC°·m                        what m meant in the old basis, said in the new one
///     ĝ = (CᵀC + δ·I)⁻¹·g_A
///     AltLoRA:   m ← β₁·T(m) + (1 − β₁)·ĝ,               d = m/(1 − β₁ᵏ)
///     AltLoRA+:  n = β₁·T(m) + (1 − β₁)·ĝ,  m ← β₁·m + (1 − β₁)·ĝ,  v ← β₂·v + (1 − β₂)·ĝ²,
///                d = n/((1 − β₁ᵏ)·(√v + eps))
///     A ← (1 − ηλ)·(A − η·d)
///
/// and likewise for B, from the right with AAᵀ. With one factor frozen the best step of the other is a linear problem with
/// one answer, so no assumption couples them; δ = 0 makes AltLoRA's steps independent of the basis of the pair. State: m (and
/// v), and a copy of each factor as it was when the other last moved.
public struct AltLoRARule: PairedRule {
  public enum Variant: Sendable {
    case plain
    case plus
  }

  public var variant: Variant
  /// δ.
  public var reg: Double
  /// √v + eps.
  public var eps: Double
  /// Steps before the turn is the other factor's.
  public var alternateEvery: Int
  /// β₁, β₂ and λ.
  public var rest: AdamW

  public var name: String { variant == .plus ? "altlora-plus" : "altlora" }

  public func check(_ pairs: [TrainedPair]) throws(Refusal) {
    if reg == 0 { try pairs.requireFullRank(for: name, "reg") }
  }

  public func memory(of pair: TrainedPair) -> [String: [Int]] {
    let (a, b) = (pair.down.value.shape, pair.up.value.shape)
    let both = ["m_A": a, "m_B": b, "old_A": a, "old_B": b]
    return variant == .plus ? both.merging(["v_A": a, "v_B": b]) { $1 } : both
  }

  public func direction(_ p: PairStep, _ memory: inout PairMemory, sum: Double) throws(LinearAlgebraError) -> PairDirection? {
    let turn = (memory.count - 1) / alternateEvery
    // Of every 2·n steps, n are A's; k counts those taken, this one included.
    let k = turn / 2 * alternateEvery + (memory.count - 1) % alternateEvery + 1
    if turn % 2 == 0 {
      let gram = try Cholesky((p.b.t ⋅ p.b).damped(reg))
      let transported = gram.solve((p.b.t ⋅ memory["old_B"]) ⋅ memory["m_A"])
      let d = advance("A", &memory, gram.solve(p.gradA), transported, k) * (1 - p.rate * p.decay)
      memory["old_B"] = p.b
      return PairDirection(a: d, b: nil)
    }
    let gram = try Cholesky((p.a ⋅ p.a.t).damped(reg))
    let transported = gram.solve(right: memory["m_B"] ⋅ (memory["old_A"] ⋅ p.a.t))
    let d = advance("B", &memory, gram.solve(right: p.gradB), transported, k) * (1 - p.rate * p.decay)
    memory["old_A"] = p.a
    return PairDirection(a: nil, b: d)
  }

  /// d, for the gradient ĝ and the moment as it was, transported to the basis of now.
  private func advance(_ factor: String, _ memory: inout PairMemory, _ g: Tensor, _ transported: Tensor, _ k: Int) -> Tensor {
    let (beta1, beta2) = (rest.beta1, rest.beta2)
    let n = transported * beta1 + g * (1 - beta1)
    let corrected = n * (1 / (1 - beta1.power(k)))
    guard variant == .plus else {
      memory["m_" + factor] = n
      return corrected
    }
    memory["m_" + factor] = memory["m_" + factor] * beta1 + g * (1 - beta1)
    memory["v_" + factor] = memory["v_" + factor] * beta2 + g * g * (1 - beta2)
    return corrected.combined(with: memory["v_" + factor]) { $0 / ($1.squareRoot() + eps) }
  }
}

extension AltLoRARule {
  public static let plain = definition("altlora", "one factor at a time, momentum carried over to the new basis", .plain)
  public static let plus = definition("altlora-plus", "AltLoRA with Adam's second moment", .plus)

  private static func definition(_ name: String, _ summary: String, _ variant: Variant) -> AxisDefinition<any UpdateRule> {
    AxisDefinition(
      name, summary,
      options: PairedOptions.ofAdam(eps: 1e-4, weightDecay: 1e-5) + [
        PairedOptions.reg(1e-5),
        OptionSpec(
          "alternate_every", .integer(1...Int(Int32.max)), default: .int(1), "steps before it is the other factor's turn"),
      ]
    ) { (options) throws(Refusal) in
      AltLoRARule(
        variant: variant, reg: options.double("reg"), eps: options.double("eps"),
        alternateEvery: options.int("alternate_every"), rest: AdamW(outsideOfPairs: options, eps: 1e-8))
    }
  }
}
