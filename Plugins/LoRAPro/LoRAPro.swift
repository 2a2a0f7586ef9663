import Blocks
import Engine
import PEFTKernel

/// The optimizers `lora-pro-sgd` and `lora-pro-adamw`.
public enum LoRAProMethod {
  public static let plugin = Plugin("lora-pro", optimizers: [LoRAProRule.gradientDescent, LoRAProRule.adamW], goldens: [golden])

  static let golden = GoldenReader.ofPairs([LoRAProRule.gradientDescent, LoRAProRule.adamW])
}

/// LoRA-Pro [arXiv:2407.18242].
///
/// The steps d_A, d_B whose effect s·(B·d_A + d_B·A) on the weight is nearest to its gradient G in Frobenius norm; of those,
/// the ones nearest to the factors' own gradients:
///
///     d_A = s⁻²·(BᵀB + δI)⁻¹·g_A + X·A
///     d_B = s⁻²·(g_B − B·(BᵀB + δI)⁻¹·(Bᵀg_B))·(AAᵀ + δI)⁻¹ − B·X
///     BᵀB·X + X·AAᵀ = −s⁻²·(BᵀB + δI)⁻¹·g_A·Aᵀ
///
/// - lora-pro-sgd: X ← X − η·d.
/// - lora-pro-adamw: the effect of d with X = 0 is taken for the weight's gradient, W̃; w = Adam(W̃) with moments of the
///   weight's size; then d of the gradients s·Bᵀ·w, s·w·Aᵀ that w would give the factors.
///
/// State: none, or 2·out·in per site, which is what AdaPreLoRA avoids. Cost of the latter: O(out·in·r) a step, in blocks of
/// rows, so that nothing of the weight's size is made.
public struct LoRAProRule: PairedRule {
  public enum Moments: Sendable {
    case none
    case adam
  }

  public var moments: Moments
  /// δ.
  public var reg: Double
  /// β₁, β₂ and eps of Adam, and λ.
  public var rest: AdamW

  public var name: String { moments == .adam ? "lora-pro-adamw" : "lora-pro-sgd" }

  public func check(_ pairs: [TrainedPair]) throws(Refusal) {
    if reg == 0 { try pairs.requireFullRank(for: name, "reg") }
    for pair in pairs where pair.down.scale == 0 {
      throw Refusal("\(name) divides by the scale of the product, which is 0 at \(pair.pair.id)", remedy: "use an alpha above 0")
    }
  }

  public func memory(of pair: TrainedPair) -> [String: [Int]] {
    guard moments == .adam else { return [:] }
    return ["m": [pair.outputs, pair.inputs], "v": [pair.outputs, pair.inputs]]
  }

  public func direction(_ p: PairStep, _ memory: inout PairMemory, sum: Double) throws(LinearAlgebraError) -> PairDirection? {
    let tangent = try Tangent(p.a, p.b, scale: p.scale, reg: reg)
    guard moments == .adam else { return try tangent.direction(p.gradA, p.gradB) }
    let raw = tangent.particular(p.gradA, p.gradB)
    let moved = adam(raw, p, m: memory.kept("m"), v: memory.kept("v"), count: memory.count)
    return try tangent.direction(moved.a, moved.b)
  }

  /// s·Bᵀ·w and s·w·Aᵀ for w = Adam(s·(B·d_A + d_B·A)), a block of rows after the other.
  private func adam(
    _ d: (a: Tensor, b: Tensor), _ p: PairStep, m: Tensor, v: Tensor, count: Int
  ) -> (a: Tensor, b: Tensor) {
    let gradA = Tensor.zeros(p.a.shape, .float64)
    var gradB: [Tensor] = []
    for start in stride(from: 0, to: p.b.rows, by: 64) {
      let rows = start..<min(start + 64, p.b.rows)
      let b = p.b.slice(rows: rows)
      let weight = (b ⋅ d.a + d.b.slice(rows: rows) ⋅ p.a) * p.scale
      let w = rest.adam(weight, m: m.slice(rows: rows), v: v.slice(rows: rows), count: count)
      gradA.accumulateProduct(transposed: b, w, scale: p.scale)
      gradB.append(w ⋅ p.a.t * p.scale)
    }
    return (gradA, .joinedRows(gradB))
  }
}

/// What the two factors can do to the weight from where they are.
struct Tangent {
  let a: Tensor
  let b: Tensor
  private let scale: Double
  private let grams: (a: Tensor, b: Tensor)
  private let inverses: (a: Cholesky, b: Cholesky)

  init(_ a: Tensor, _ b: Tensor, scale: Double, reg: Double) throws(LinearAlgebraError) {
    (self.a, self.b, self.scale) = (a, b, scale)
    grams = (a ⋅ a.t, b.t ⋅ b)
    inverses = (try Cholesky(grams.a.damped(reg)), try Cholesky(grams.b.damped(reg)))
  }

  /// d with X = 0.
  func particular(_ gradA: Tensor, _ gradB: Tensor) -> (a: Tensor, b: Tensor) {
    let outside = gradB - b ⋅ inverses.b.solve(b.t ⋅ gradB)
    let factor = 1 / (scale * scale)
    return (inverses.b.solve(gradA) * factor, inverses.a.solve(right: outside) * factor)
  }

  /// d with the X that brings it nearest to the gradients.
  func direction(_ gradA: Tensor, _ gradB: Tensor) throws(LinearAlgebraError) -> PairDirection {
    let d = particular(gradA, gradB)
    let x = try LinearAlgebra.sylvester(grams.b, grams.a, d.a ⋅ a.t * -1)
    return PairDirection(a: d.a + x ⋅ a, b: d.b - b ⋅ x)
  }
}

extension LoRAProRule {
  public static let gradientDescent = definition("lora-pro-sgd", "the weight's gradient, projected on a pair's factors", .none)
  public static let adamW = definition("lora-pro-adamw", "Adam on the weight, projected on a pair's factors", .adam)

  private static func definition(_ name: String, _ summary: String, _ moments: Moments) -> AxisDefinition<any UpdateRule> {
    AxisDefinition(name, summary, options: PairedOptions.ofAdam() + [PairedOptions.reg(1e-8)]) { (options) throws(Refusal) in
      LoRAProRule(moments: moments, reg: options.double("reg"), rest: AdamW(outsideOfPairs: options))
    }
  }
}
