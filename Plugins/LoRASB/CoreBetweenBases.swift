import Blocks
import Engine
import PEFTKernel

/// ΔW = s·B·R·A with a small R [r, r] between A [r, in] and B [out, r]; s = alpha/r.
///
/// Forward r·(in + r + out) multiply-adds a token. With B and A frozen, R's gradient s·(dy·B)ᵀ·(x·Aᵀ) has two factors of width r: no
/// product of the weight's size, no optimizer state but 2·r².
struct CoreBetweenBases: Projection {
  var rank: Int
  var alpha: Double
  var dropout: Double
  /// Standard deviation of R where the start leaves it to the layout.
  var latentDeviation: Double

  func scale(at site: Site) -> Double { alpha / Double(rank) }

  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    let most = sites.map { min($0.inputs, $0.outputs) }.min() ?? 1
    for site in sites {
      guard rank <= min(site.inputs, site.outputs) else {
        throw Refusal(
          "rank \(rank) exceeds what \(site.id) [\(site.outputs), \(site.inputs)] can use", remedy: "use at most \(most)")
      }
      let (down, up) = (1 / Double(site.inputs).squareRoot(), 1 / Double(rank).squareRoot())
      specs.append(.init(TensorKey("lora_A.weight", site.id), [rank, site.inputs], .down(nil), fill: .uniform(bound: down)))
      specs.append(.init(TensorKey("lora_B.weight", site.id), [site.outputs, rank], .up(nil), fill: .uniform(bound: up)))
      specs.append(
        .init(TensorKey("lora_latent.weight", site.id), [rank, rank], .core, fill: .normal(deviation: latentDeviation)))
    }
    return specs
  }

  func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    WeightChange(chains: [
      [
        Matrix(t["lora_B.weight", site.id], scale: scale(at: site)), Matrix(t["lora_latent.weight", site.id]),
        Matrix(t["lora_A.weight", site.id]),
      ]
    ])
  }
}

extension CoreBetweenBases: Approximating {
  /// With the bases free the product is any matrix of rank r: the truncated decomposition M ≈ U·diag(σ)·V is the best, and
  /// B = U, A = V, R = diag(σ)/s is orthonormal where it can be.
  func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    let best = try BestPair(rank, of: target, random)
    var core = [Double](repeating: 0, count: rank * rank)
    for (i, value) in best.values.enumerated() { core[i * rank + i] = value / scale(at: site) }
    let tensors = Tensors([
      TensorKey("lora_A.weight", site.id): best.right.converted(to: .float32),
      TensorKey("lora_B.weight", site.id): best.left.converted(to: .float32),
      TensorKey("lora_latent.weight", site.id): Tensor(core, shape: [rank, rank]),
    ])
    return Approximation(tensors, error: best.error, isBest: best.isBest)
  }
}

extension CoreBetweenBases {
  static let definition = AxisDefinition<any Projection>(
    "core", "ΔW = s·B·R·A with a trained R between two bases",
    options: [
      OptionSpec(
        "rank", .integer(1...1 << 20), default: .int(32), "size of the core", aliases: [.init("r"), .init("lora_rank")]),
      OptionSpec(
        "alpha", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .null,
        "numerator of the scale alpha/rank; null for the rank itself, a scale of 1", aliases: [.init("lora_alpha")]),
      OptionSpec(
        "dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout on the branch's input, in training",
        aliases: [.init("lora_dropout")]),
      OptionSpec(
        "latent_init_std", .number(0...1e6), default: .double(1e-5), "standard deviation of R where the start does not set it"),
    ]
  ) { (options) throws(Refusal) in
    let rank = options.int("rank")
    return CoreBetweenBases(
      rank: rank, alpha: options.optionalDouble("alpha") ?? Double(rank), dropout: options.double("dropout"),
      latentDeviation: options.double("latent_init_std"))
  }
}
