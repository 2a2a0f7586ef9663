import Blocks
import Engine
import PEFTKernel

/// LoRA, "Low-Rank Adaptation of Large Language Models" [arXiv:2106.09685], and rsLoRA [arXiv:2312.03732].
///
///     y = x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ,   A [r, in], B [out, r]
///
/// - Projection: `LowRank`, ΔW = s·B·A, s = alpha/r. rsLoRA is the same with s = alpha/√r: with A's entries independent
///   of r, that scale alone keeps the branch and its gradient of one size as r grows.
/// - Start: one of those below, `kaiming` by default. B = 0 makes step 0 the base exactly, and leaves ∂A = 0 there: B moves
///   first.
/// - Trainable: A and B of every site, r·(in + out) numbers, and B's bias where there is one.
public enum LoRAMethod {
  public static let plugin = Plugin(
    "lora", projections: [LowRank.definition], inits: [kaiming, gaussian, random, orthogonal, olora, mica], goldens: [golden])

  /// A ~ U(−1/√in, 1/√in), which is Kaiming's uniform law with a = √5; B = 0. The paper's Gaussian gave way to it in code.
  static let kaiming = start("kaiming", "A ~ U(±1/√in), B = 0", aliases: [.bool(true)]) { name in
    FactorDraws(name) { pair in (pair.uniformDown, .zeros) }
  }

  /// A ~ N(0, 1/r) with standard deviation 1/r, not variance; B = 0. Its variance depends on r, so no scale is stable.
  static let gaussian = start("gaussian", "A ~ N(0, (1/r)²), B = 0") { name in
    FactorDraws(name, servesBias: false) { pair in (.normal(deviation: 1 / Double(pair.rank)), .zeros) }
  }

  /// Both factors uniform: step 0 is not the base, which is what tests want.
  static let random = start("random", "A ~ U(±1/√in), B ~ U(±1/√r)", aliases: [.bool(false)]) { name in
    FactorDraws(name, startLaw: .near) { pair in (pair.uniformDown, .uniform(bound: 1 / Double(pair.rank).squareRoot())) }
  }

  /// Both factors non-zero with B·A = 0.
  static let orthogonal = start("orthogonal", "A and B random with B·A = 0; r even") { _ in OrthogonalFactors() }

  static let olora = start("olora", "A and B from the weight's QR decomposition; the base gives way") { _ in
    WeightFactors(part: .olora)
  }

  static let mica = start("mica", "B on the weight's least singular directions, A = 0") { _ in WeightFactors(part: .mica) }

  static func start(
    _ name: String, _ summary: String, aliases: [OptionValue] = [], _ make: @escaping @Sendable (String) -> any InitStrategy
  ) -> AxisDefinition<any InitStrategy> {
    AxisDefinition(name, summary, aliases: aliases) { (_) throws(Refusal) in make(name) }
  }
}

extension FactorPair {
  var uniformDown: Fill { .uniform(bound: 1 / Double(down.shape[1]).squareRoot()) }
}

extension LoRAMethod {
  static let golden = GoldenReader(reads: { $0.isOf("lora") }) { (file) throws(Refusal) in
    var problem = try LowRank.golden(file, entry: "lora")
    problem.initial = [
      "delta": { (made) throws(Refusal) in try made.delta() },
      "base": { (made) throws(Refusal) in try made.base() },
      "start": { (made) throws(Refusal) in try made.base() + made.delta() },
      "bbt": { (made) throws(Refusal) in
        let up = made.start.tensors["lora_B.weight", made.site.id].converted(to: .float64)
        return up.multiplied(byTransposeOf: up)
      },
    ]
    return problem
  }
}
