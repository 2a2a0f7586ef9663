import Blocks
import Engine
import PEFTKernel

/// PiSSA, "Principal Singular Values and Singular Vectors Adaptation" [arXiv:2404.02948].
///
///     y = x·W_resᵀ + b + s·(x·Aᵀ)·Bᵀ,   W_res = W − s·B₀·A₀,   s·B₀·A₀ = U_r·S_r·V_rᵀ
///
/// - Projection: `LowRank`, s = alpha/r, 1 by default.
/// - Start: the target `principal-weights`, M = W, its leading part shared out evenly: A₀ = √(S_r/s)·V_rᵀ, B₀ = U_r·√(S_r/s). The base
///   keeps the rest, so step 0 is the pretrained function whatever the decomposition's error.
/// - Trainable: A and B of every site, r·(in + out) numbers.
///
/// Why: training moves the principal directions of the weight instead of growing an update from zero; both factors have a gradient
/// from the first step on. Dropout on the branch would drop inputs of the model's principal part: leave it at 0.
public enum PiSSAMethod {
  public static let plugin = Plugin(
    "pissa", projections: [LowRank.definition], inits: [PrincipalTarget.definition], goldens: [golden])

  static let golden = GoldenReader(reads: { $0.isOf("pissa") }) { (file) throws(Refusal) in
    var problem = try LowRank.golden(file, entry: "pissa")
    let site = problem.sites[0]
    // The file's weight is what the start leaves; the base is the pretrained one, less the start.
    let pretrained = try file.tensor("given.pretrained")
    problem.startWeights = [site.id: pretrained]
    let delta = try file.conversion(problem.point, at: site)
    problem.expected["given.expect_lora_delta"] = { _ in delta }
    problem.initial = [
      "delta": { (made) throws(Refusal) in try made.delta() },
      "base": { (made) throws(Refusal) in try made.base() },
      "sigma": { (made) throws(Refusal) in
        Tensor(made.pissaDown.rowSquares.map { $0 * made.parameterization.projection.scale(at: made.site) }, .float64)
      },
      "a_gram": { (made) throws(Refusal) in made.pissaDown.multiplied(byTransposeOf: made.pissaDown) },
    ]
    return problem
  }
}

extension GoldenFile {
  /// s·[B, −B₀]·[A; A₀]: an ordinary pair of rank 2r over the pretrained weight.
  fileprivate func conversion(_ point: Tensors, at site: Site) throws(Refusal) -> Tensor {
    guard let rank = int("r"), let alpha = config["lora_alpha"]?.number else { throw Refusal("the file has no r and lora_alpha") }
    let scale = config["use_rslora"] == .bool(true) ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
    let up = Tensor.joinedColumns([point["lora_B.weight", site.id], try tensor("given.lora_B0") * -1])
    let down = Tensor.joinedRows([point["lora_A.weight", site.id], try tensor("given.lora_A0")])
    return up.multiplied(by: down) * scale
  }
}

extension GoldenStart {
  /// A₀ [r, in].
  fileprivate var pissaDown: Tensor { start.tensors["lora_A.weight", site.id].converted(to: .float64) }
}

extension Tensor {
  fileprivate var rowSquares: [Double] { (0..<rows).map { slice(rows: $0..<$0 + 1).sumOfSquares } }
}
