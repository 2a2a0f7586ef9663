import Blocks
import Engine
import PEFTKernel

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The optimizer `adaprelora`.
public enum AdaPreLoRAMethod {
  public static let plugin = Plugin("adaprelora", optimizers: [AdaPreLoRARule.definition], goldens: [golden])
}

/// AdaPreLoRA, "Adafactor Preconditioned Low-Rank Adaptation" [arXiv:2605.08734].
///
/// The step that Adafactor would take on the full weight, projected on what a pair can do. With G = ∂loss/∂(B·A) and
/// Adafactor's model of its second moment, V_ij = ν·L̄_i·R̄_j, the full step is H⁻¹(G) = G ⊘ √V; the steps of A and B are
/// those whose effect B·dA + dB·A is nearest to it in the norm ‖Y‖²_H = Σ √V_ij·Y_ij², and of all such pairs of steps
/// (−B·X, X·A changes nothing) the most balanced one, of least ‖dB·A − B·dA‖_H:
///
///     l ← β₂·l + (1 − β₂)·mean_j G²,   c ← β₂·c + (1 − β₂)·mean_i G²,   ν = mean l̂,   L̄ = l̂/ν,   R̄ = ĉ/ν
///     m_A ← β₁·m_A + (1 − β₁)·g_A,     m_B likewise
///     M_B = Bᵀ·L̄^½·B + ε·I,            M_A = A·R̄^½·Aᵀ + ε·I
///     Y = M_B⁻¹·m̂_A,                   Z = m̂_B·M_A⁻¹
///     dA = ν^-½·(Y·R̄^-½ − ½·(Y·Aᵀ)·M_A⁻¹·A)
///     dB = ν^-½·(L̄^-½·Z − ½·B·M_B⁻¹·(Bᵀ·Z))
///
/// State per pair: m_A, m_B (none where β₁ = 0), l [out], c [in] and a count, (r + 1)·(in + out) + 1 numbers against
/// 2·r·(in + out) of AdamW. Cost: about 8·(in + out)·r² flops and two Cholesky decompositions r × r. The step is the same
/// whatever constant the loss is multiplied by, and whatever basis B → B·C, A → C⁻¹·A the pair is written in.
public struct AdaPreLoRARule: PairedRule {
  /// Of what the energies are: of G itself, which the run measures at every pair, or of g_B·A + B·g_A, which needs nothing
  /// but the factors and has another scale, so that learning rates do not carry over.
  public enum Statistics: String, Sendable, CaseIterable {
    case gradient
    case surrogate
  }

  /// β₂ as it is, bias corrected; or 1 − t^-0.8 as Adafactor has it, which needs no correction.
  public enum Schedule: String, Sendable, CaseIterable {
    case constant
    case adafactor
  }

  public let name = "adaprelora"
  /// 0 keeps no momentum; the projection is exact then.
  public var beta1: Double
  public var beta2: Double
  public var schedule: Schedule
  /// Added to every entry of G².
  public var eps: Double
  /// ε of M_A and M_B.
  public var damping: Double
  public var statistics: Statistics
  public var rest: AdamW

  public var wantsEnergies: Bool { statistics == .gradient }

  public func check(_ pairs: [TrainedPair]) throws(Refusal) {
    try pairs.requireNaturalRank(for: name)
    if damping == 0 { try pairs.requireFullRank(for: name, "damping") }
  }

  public func memory(of pair: TrainedPair) -> [String: [Int]] {
    let energies = ["rows": [pair.outputs], "cols": [pair.inputs]]
    if beta1 == 0 { return energies }
    return energies.merging(["momentum_A": pair.down.value.shape, "momentum_B": pair.up.value.shape]) { $1 }
  }

  public func direction(_ p: PairStep, _ memory: inout PairMemory, sum: Double) throws(LinearAlgebraError) -> PairDirection? {
    let t = memory.count
    let beta2 = schedule == .constant ? beta2 : 1 - pow(Double(t), -0.8)
    guard let e = energies(of: p) else { return nil }
    memory["rows"] = memory["rows"] * beta2 + e.rows * (1 - beta2)
    memory["cols"] = memory["cols"] * beta2 + e.columns * (1 - beta2)
    var (mA, mB) = (p.gradA, p.gradB)
    if beta1 > 0 {
      memory["momentum_A"] = memory["momentum_A"] * beta1 + p.gradA * (1 - beta1)
      memory["momentum_B"] = memory["momentum_B"] * beta1 + p.gradB * (1 - beta1)
      let correction = 1 / (1 - beta1.power(t))
      (mA, mB) = (memory["momentum_A"] * correction, memory["momentum_B"] * correction)
    }
    let correction = schedule == .constant ? 1 / (1 - beta2.power(t)) : 1
    return try direction(p.a, p.b, mA, mB, rows: memory["rows"] * correction, columns: memory["cols"] * correction)
  }

  /// dA and dB at A, B for the (bias corrected) moments m̂_A, m̂_B and energies l̂ [out], ĉ [in].
  public func direction(
    _ a: Tensor, _ b: Tensor, _ mA: Tensor, _ mB: Tensor, rows: Tensor, columns: Tensor
  ) throws(LinearAlgebraError) -> PairDirection {
    let nu = rows.sum.item / Double(rows.count)
    // No gradient ever, and eps 0: there is nothing to scale by.
    guard nu > 0 else { return PairDirection(a: a * 0, b: b * 0) }
    let (l, r) = (Roots(rows * (1 / nu)), Roots(columns * (1 / nu)))
    let gramB = try Cholesky((b.t ⋅ b.multipliedByColumn(l.root)).damped(damping))
    let gramA = try Cholesky((a ⋅ a.multipliedByRow(r.root).t).damped(damping))
    let y = gramB.solve(mA)
    let z = gramA.solve(right: mB)
    let dA = y.multipliedByRow(r.inverse) - gramA.solve(right: y ⋅ a.t) ⋅ a * 0.5
    let dB = z.multipliedByColumn(l.inverse) - b ⋅ gramB.solve(b.t ⋅ z) * 0.5
    return PairDirection(a: dA * (1 / nu.squareRoot()), b: dB * (1 / nu.squareRoot()))
  }
}
