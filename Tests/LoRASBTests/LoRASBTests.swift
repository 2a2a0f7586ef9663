import Blocks
import Engine
import LoRASB
import PEFTKernel
import Testing

@Suite struct LoRASBTests {
  private let site = Site(id: SiteID("site"), outputs: 14, inputs: 10)

  /// The start from a gradient, and the gradient.
  private func start(rank: Int, alpha: Double?, rate: Double = 0.01) throws -> (start: Start, gradient: Tensor, change: Tensor) {
    let core = try #require(LoRASBMethod.plugin.projections.first)
    var given: [String: OptionValue] = ["rank": .int(rank)]
    given["alpha"] = alpha.map { .double($0) }
    let projection = try core.make(Options(given, checkedBy: core.options))
    let target = try FirstStepTarget.definition.make(
      Options(["init_lr": .double(rate)], checkedBy: FirstStepTarget.definition.options))
    let method = Assembly(projection: projection, initialization: target, trainable: TrainableSubset(roles: ["core"]))
    var random = Philox(key: 4)
    let gradient = random.normal([14, 10], deviation: 1)
    let bases = Bases(weights: [site.id: random.normal([14, 10], deviation: 1)])
    var evidence = Evidence { bases[$0].weight(as: .float32) }
    evidence.gradients = [site.id: gradient]
    let layout = try Adapter.layout(method, over: [site])
    let start = try method.start(layout, [site], on: bases, &evidence, Moment())
    let prepared = projection.prepare(start.tensors, Moment(), bases)
    let change = try projection.change(at: site, prepared, on: bases[site.id]).dense(on: .zeros([14, 10]))
    return (start, gradient, change)
  }

  /// BᵀB = I, A·Aᵀ = I, R diagonal and descending, and the change the best of its rank, whatever alpha is.
  @Test(arguments: [nil, 3.0, 24.0]) func startIsTheBestOfItsRank(_ alpha: Double?) throws {
    let (start, gradient, change) = try start(rank: 3, alpha: alpha)
    let a = start.tensors["lora_A.weight", site.id].converted(to: .float64)
    let b = start.tensors["lora_B.weight", site.id].converted(to: .float64)
    #expect((a.multiplied(byTransposeOf: a) - .identity(3, .float64)).largestMagnitude < 1e-6)
    #expect((b.transposed.multiplied(by: b) - .identity(3, .float64)).largestMagnitude < 1e-6)
    let core = start.tensors["lora_latent.weight", site.id].values
    #expect(core[1] == 0 && core[2] == 0 && core[3] == 0 && core[0] >= core[4] && core[4] >= core[8] && core[8] > 0)
    let step = Tensor(gradient.values.map { $0 > 0 ? -0.01 : 0.01 }, shape: [14, 10], .float64)
    let spectrum = try LinearAlgebra.svd(step).s
    let rest = (step - change.converted(to: .float64)).sumOfSquares
    #expect(abs(rest - spectrum[3...].reduce(0) { $0 + $1 * $1 }) < 1e-6 * step.sumOfSquares)
    #expect(start.offset == nil)
  }

  @Test func aRateMustBeKnown() throws {
    let target = try FirstStepTarget.definition.make(Options([:], checkedBy: FirstStepTarget.definition.options))
    let evidence = Evidence(weight: { _ in .zeros([14, 10]) }, gradients: [site.id: Tensor(repeating: 1, shape: [14, 10])])
    let start = try #require(target as? FirstStepTarget)
    let error = #expect(throws: Refusal.self) { try start.target(at: site, evidence) }
    #expect(error?.description.contains("init_lr") == true)
    for (bad, word) in [(Tensor.zeros([14, 10]), "is zero"), (Tensor(repeating: .infinity, shape: [14, 10]), "not finite")] {
      var evidence = evidence
      evidence.gradients = [site.id: bad]
      evidence.firstRate = 0.1
      let error = #expect(throws: Refusal.self) { try start.target(at: site, evidence) }
      #expect(error?.reason.contains(word) == true)
    }
  }

  @Test func ranksAboveTheSiteAreRefused() throws {
    let core = try #require(LoRASBMethod.plugin.projections.first)
    let projection = try core.make(Options(["rank": .int(11)], checkedBy: core.options))
    let error = #expect(throws: Refusal.self) { try projection.layout(of: [site]) }
    #expect(error?.description.contains("use at most 10") == true)
  }
}
