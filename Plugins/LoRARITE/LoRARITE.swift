import Blocks
import Engine
import PEFTKernel

/// The optimizer `lora-rite`.
public enum LoRARITEMethod {
  public static let plugin = Plugin("lora-rite", optimizers: [LoRARITERule.definition], goldens: [golden])

  static let golden = GoldenReader.ofPairs([LoRARITERule.definition])
}

/// LoRA-RITE, "LoRA Done RITE: Robust Invariant Transformation Equilibration" [arXiv:2410.20625].
///
/// Thin decompositions Aᵀ = Q_A·R_A and B = Q_B·R_B take the partner's size out of each factor's gradient; Adam's moments are
/// kept in the partner's orthonormal basis, the second one as a matrix r × r, and turned when the basis turns. Of A:
///
///     U = g_Aᵀ·R_B⁺ [in, r]                              (= s·Gᵀ·Q_B; set to 0 if its rms exceeds `skip`)
///     U ← U·min(1, clip/n),   n² = Σ ‖U‖² over both factors of all pairs
///     P = Q_B(t)ᵀ·Q_B(t−1),   β̃ = β·(1 − βᵗ⁻¹)/(1 − βᵗ)
///     V ← (1 − β̃₂)·UᵀU/in + β̃₂·P·V·Pᵀ,   S = V^-½ with eigenvalues 1/(√w + eps)
///     M ← (1 − β̃₁)·U·S + β̃₁·M·Pᵀ
///     A ← (1 − ηλ)·A − η·(M·(R_B⁺)ᵀ)ᵀ
///
/// and of B with U = g_B·R_A⁺ [out, r], in the basis Q_A. The weight's step does not depend on the basis B·C, C⁻¹·A of the
/// pair. State per pair: M, the bases of the last step and V, 2·r·(in + out) + 2·r² numbers.
public struct LoRARITERule: PairedRule {
  public let name = "lora-rite"
  /// Norm that all gradients together are held to; 0 for any.
  public var clip: Double
  /// Root mean square above which a factor sits the step out; 0 for any.
  public var skip: Double
  public var eps: Double
  /// β₁, β₂ and λ.
  public var rest: AdamW

  public func check(_ pairs: [TrainedPair]) throws(Refusal) { try pairs.requireNaturalRank(for: name) }

  public func memory(of pair: TrainedPair) -> [String: [Int]] {
    let (r, tall, wide) = (pair.rank, [pair.outputs, pair.rank], [pair.inputs, pair.rank])
    return ["M_A": wide, "M_B": tall, "V_A": [r, r], "V_B": [r, r], "Q_A": wide, "Q_B": tall]
  }

  public var measure: (@Sendable (PairStep) throws(LinearAlgebraError) -> Double)? {
    { (p) throws(LinearAlgebraError) in
      let (a, b) = (try Basis(p.a.transposed), try Basis(p.b))
      return gradient(p.gradA.transposed, b).sumOfSquares + gradient(p.gradB, a).sumOfSquares
    }
  }

  public func direction(_ p: PairStep, _ memory: inout PairMemory, sum: Double) throws(LinearAlgebraError) -> PairDirection? {
    let (a, b) = (try Basis(p.a.transposed), try Basis(p.b))
    let norm = sum.squareRoot()
    let factor = clip > 0 && norm > clip ? clip / norm : 1
    let mA = try advance("A", &memory, gradient(p.gradA.transposed, b) * factor, b.q.t ⋅ memory["Q_B"])
    let mB = try advance("B", &memory, gradient(p.gradB, a) * factor, a.q.t ⋅ memory["Q_A"])
    (memory["Q_A"], memory["Q_B"]) = (a.q, b.q)
    return PairDirection(a: b.inverse ⋅ mA.t, b: mB ⋅ a.inverse.t)
  }

  /// U, or 0 where it is too large to be trusted.
  private func gradient(_ gradient: Tensor, _ partner: Basis) -> Tensor {
    let u = gradient ⋅ partner.inverse
    let rms = (u.sumOfSquares / Double(u.count)).squareRoot()
    return skip > 0 && rms > skip ? u * 0 : u
  }

  /// M of a factor after the gradient U, in a basis that P leads to from the last one; at first P is 0.
  private func advance(
    _ factor: String, _ memory: inout PairMemory, _ u: Tensor, _ p: Tensor
  ) throws(LinearAlgebraError) -> Tensor {
    let (beta1, beta2) = (corrected(rest.beta1, memory.count), corrected(rest.beta2, memory.count))
    let turned = (p ⋅ memory["V_" + factor]) ⋅ p.t
    let v = (u.t ⋅ u) * ((1 - beta2) / Double(u.rows)) + turned * beta2
    let (w, basis) = try LinearAlgebra.symmetricEigen(v)
    let root = basis.multipliedByRow(Tensor(w.map { 1 / (max($0, 0).squareRoot() + eps) }, .float64)) ⋅ basis.t
    let m = (u ⋅ root) * (1 - beta1) + (memory["M_" + factor] ⋅ p.t) * beta1
    memory["V_" + factor] = v
    memory["M_" + factor] = m
    return m
  }

  /// β·(1 − βᵗ⁻¹)/(1 − βᵗ).
  private func corrected(_ beta: Double, _ t: Int) -> Double {
    beta * (1 - beta.power(t - 1)) / (1 - beta.power(t))
  }
}

/// Q [n, r] of a factor's thin decomposition Q·R, and R⁺.
private struct Basis {
  let q: Tensor
  let inverse: Tensor

  init(_ factor: Tensor) throws(LinearAlgebraError) {
    let r: Tensor
    (q, r) = try LinearAlgebra.qr(factor)
    // The factors are kept in 32 bits: what is smaller than their rounding is none of R's.
    inverse = try LinearAlgebra.pseudoInverse(r, tolerance: Double(r.rows) * Double(Float.ulpOfOne))
  }
}

extension LoRARITERule {
  public static let definition = AxisDefinition<any UpdateRule>(
    "lora-rite", "Adam in the orthonormal bases of a pair, whatever basis it is written in",
    options: PairedOptions.ofAdam(eps: 1e-6) + [
      OptionSpec(
        "clip", .number(0...Double.greatestFiniteMagnitude), default: .double(1),
        "norm that the gradients of all pairs together are held to; 0 for any"),
      OptionSpec(
        "skip", .number(0...Double.greatestFiniteMagnitude), default: .double(1),
        "root mean square above which a factor's gradient counts as none; 0 for any"),
    ]
  ) { (options) throws(Refusal) in
    LoRARITERule(
      clip: options.double("clip"), skip: options.double("skip"), eps: options.double("eps"),
      rest: AdamW(outsideOfPairs: options, eps: 1e-8))
  }
}
