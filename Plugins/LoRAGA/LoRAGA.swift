import Blocks
import Engine
import PEFTKernel

/// LoRA-GA, "Low-Rank Adaptation with Gradient Approximation" [arXiv:2407.05000].
///
///     ΔW = s·(B·A − B₀·A₀),   A₀ = c·[v_j]ᵀ, B₀ = c·[u_j],   G = U·diag(σ)·Vᵀ
///
/// - Projection: `LowRank`, with s = alpha/√r by default.
/// - Start: `GradientVectors`. G is the mean gradient of the full weight over the first batches; A and B start on different
///   singular vectors of it, and the base gives way by s·B₀·A₀, so step 0 keeps the pretrained function.
/// - Trainable: A and B of every site, r·(in + out) numbers.
///
/// Why: a gradient step of rate η on A and B moves W by −η·s²·(B₀B₀ᵀ·G + G·A₀ᵀA₀). On disjoint index sets that together
/// are 1…2r this is −η·(s·c)²·Σ_{j≤2r} σ_j·u_j·v_jᵀ, the best rank-2r approximation of the step of full fine-tuning.
public enum LoRAGAMethod {
  public static let plugin = Plugin(
    "lora-ga", projections: [LowRank.definition], inits: [GradientVectors.definition], goldens: [golden])

  static let golden = GoldenReader(reads: { $0.isOf("lora-ga") }) { (file) throws(Refusal) in
    var problem = try LowRank.golden(file, entry: "lora-ga")
    let gradient = try file.tensor("given.grad").converted(to: .float64)
    problem.evidence = [problem.sites[0].id: gradient]
    problem.initial = [
      "lora_A_gram": { (made) throws(Refusal) in made.down.transposed.multiplied(by: made.down) },
      "lora_B_gram": { (made) throws(Refusal) in made.up.multiplied(byTransposeOf: made.up) },
      "singular_values": { (made) throws(Refusal) in
        // As the start used them: each chosen vector of length c, led through G, has length c·σ_j.
        let columns = [gradient.multiplied(byTransposeOf: made.down), gradient.transposed.multiplied(by: made.up)]
        let lengths = columns.flatMap { ($0 * (1 / made.factorScale)).transposed.rowLengths }
        return Tensor(lengths.sorted(by: >), .float64)
      },
      "factor_scale": { (made) throws(Refusal) in Tensor([made.factorScale], .float64) },
      "scaling": { (made) throws(Refusal) in Tensor([try made.scale()], .float64) },
      "residual": { (made) throws(Refusal) in try made.base() },
      "first_step": { (made) throws(Refusal) in
        let throughUp = made.up.multiplied(by: made.up.transposed.multiplied(by: gradient))
        let throughDown = gradient.multiplied(byTransposeOf: made.down).multiplied(by: made.down)
        let scale = try made.scale()
        return (throughUp + throughDown) * (scale * scale)
      },
    ]
    return problem
  }
}

extension GoldenStart {
  /// A₀ [r, in].
  fileprivate var down: Tensor { start.tensors["lora_A.weight", site.id].converted(to: .float64) }

  /// B₀ [out, r].
  fileprivate var up: Tensor { start.tensors["lora_B.weight", site.id].converted(to: .float64) }

  /// c, the length of every row of A₀.
  fileprivate var factorScale: Double { (down.sumOfSquares / Double(down.rows)).squareRoot() }

  fileprivate func scale() throws(Refusal) -> Double {
    guard let lowRank = parameterization.projection as? LowRank else { throw Refusal("the entry lora-ga is not low-rank") }
    return lowRank.scale(at: site)
  }
}

extension Tensor {
  fileprivate var rowLengths: [Double] { (0..<rows).map { slice(rows: $0..<$0 + 1).sumOfSquares.squareRoot() } }
}
