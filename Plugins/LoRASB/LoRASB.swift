import Blocks
import Engine
import PEFTKernel

/// LoRA-SB, "Initialization using Update Approximation is a Silver Bullet for Extremely Efficient Low-Rank Fine-Tuning"
/// [arXiv:2411.19557], and LoRA-XS [arXiv:2405.17604], which has the same architecture.
///
///     ΔW = s·B·R·A,   B [out, r] and A [r, in] frozen, R [r, r] trained
///
/// - Projection: `CoreBetweenBases`, s = alpha/r, 1 by default.
/// - Start: LoRA-SB's is the target `first-step`, M = −η₀·sgn(ḡ), approximated by B = U_r, A = V_rᵀ, R = diag(σ_1…σ_r)/s. Step 0 is the
///   base plus that step, on purpose: nothing is taken off. LoRA-XS takes the bases from the weight and starts R at 1e-5.
/// - Trainable: R of every site, r² numbers, whatever the site's size.
///
/// Why: with BᵀB = I and A·Aᵀ = I one SGD step of rate η on R moves W by −η·s²·B·Bᵀ·G·Aᵀ·A, at s = 1 the projection of the step of full
/// fine-tuning on what the bases span; and these bases span what its first step wants.
public enum LoRASBMethod {
  public static let plugin = Plugin(
    "lora-sb", projections: [CoreBetweenBases.definition], inits: BasisStart.definitions, goldens: [golden])

  static let golden = GoldenReader(reads: { $0.isOf("lora-sb") }) { (file) throws(Refusal) in
    let isFirstStep = file.config["init"].map { $0 == .string("update_approximation") } ?? true
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    var options = file.options
    if !isFirstStep { options["init_lr"] = nil }
    if options["init"] == .string("random") { options["init"] = .string("random-basis") }
    var problem = GoldenCase(
      entry: isFirstStep ? "lora-sb" : "lora-xs", options: options, sites: [site], weights: [site.id: weight],
      point: Tensors([
        TensorKey("lora_A.weight", site.id): try file.tensor("frozen.lora_A"),
        TensorKey("lora_B.weight", site.id): try file.tensor("frozen.lora_B"),
        TensorKey("lora_latent.weight", site.id): try file.tensor("trainable.lora_latent"),
      ]), gradients: ["lora_latent": TensorKey("lora_latent.weight", site.id)])
    problem.evidence = [site.id: try file.tensor("given.grad")]
    problem.initial = [
      "lora_A_gram": { (made) throws(Refusal) in made.down.transposed.multiplied(by: made.down) },
      "lora_B_gram": { (made) throws(Refusal) in made.up.multiplied(byTransposeOf: made.up) },
      "lora_latent": { (made) throws(Refusal) in made.core },
      "delta": { (made) throws(Refusal) in try made.delta() },
      "singular_values": { (made) throws(Refusal) in
        // Of LoRA-SB they stand in R, of LoRA-XS in the lengths of A's rows.
        guard isFirstStep else {
          return Tensor((0..<made.down.rows).map { made.down.slice(rows: $0..<$0 + 1).sumOfSquares.squareRoot() }, .float64)
        }
        let scale = made.parameterization.projection.scale(at: site)
        return Tensor((0..<made.core.rows).map { made.core.values[$0 * (made.core.rows + 1)] * scale }, .float64)
      },
    ]
    return problem
  }
}

extension GoldenStart {
  fileprivate var down: Tensor { start.tensors["lora_A.weight", site.id].converted(to: .float64) }
  fileprivate var up: Tensor { start.tensors["lora_B.weight", site.id].converted(to: .float64) }
  fileprivate var core: Tensor { start.tensors["lora_latent.weight", site.id].converted(to: .float64) }
}
