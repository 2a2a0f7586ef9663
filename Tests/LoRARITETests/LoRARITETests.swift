import Blocks
import Conformance
import Engine
import LoRARITE
import PEFTKernel
import Testing

@Suite struct LoRARITETests {
  let bench = PairBench(outputs: 7, inputs: 5, rank: 2, scale: 1.5, steps: 5, gradient: 0.1)

  func make(_ options: [String: OptionValue] = [:]) throws -> any UpdateRule {
    let definition = LoRARITERule.definition
    return try definition.make(Options(options, checkedBy: definition.options))
  }

  @Test func basisOfThePairDoesNotMatter() throws {
    let rule = try make(["weight_decay": .double(0.01), "beta2": .double(0.9)])
    for (one, other) in zip(try bench.run(rule, rate: 0.05), try bench.rebased().run(rule, rate: 0.05)) {
      #expect(((one.b ⋅ one.a) - (other.b ⋅ other.a)).largestMagnitude < 1e-10)
    }
  }

  /// At t = 1, M = U·(UᵀU/n)^-½ has columns of length √n, whatever the gradient's size: B·dA = Q_B·Mᵀ.
  @Test func firstStepIsEquilibrated() throws {
    for size in [0.01, 1] {
      var bench = bench
      bench.gradients = bench.gradients.map { $0 * size }
      let d = try bench.direction(make(["eps": .double(1e-12)]))
      let s = try LinearAlgebra.svd(bench.b ⋅ d.a).s
      for value in s.prefix(2) { #expect(abs(value / 5.0.squareRoot() - 1) < 1e-6) }
    }
  }

  /// All pairs together are held to the norm: with eps large, the step is linear in what the gradients are scaled to.
  @Test func clippingIsGlobal() throws {
    func direction(_ clip: Double) throws -> Tensor {
      try bench.direction(make(["clip": .double(clip), "skip": .double(0), "eps": .double(1)])).a
    }
    let free = try direction(0)
    #expect(try direction(1e9).values == free.values)
    let (half, quarter) = (try direction(1e-6), try direction(0.5e-6))
    #expect((half - quarter * 2).largestMagnitude < 1e-4 * half.largestMagnitude)
    #expect(half.largestMagnitude < 1e-3 * free.largestMagnitude)
  }

  @Test func largeGradientsAreSkipped() throws {
    var bench = bench
    bench.gradients = bench.gradients.map { $0 * 1e4 }
    #expect(try bench.direction(make()).a.largestMagnitude == 0)
    #expect(try bench.direction(make(["skip": .double(0)])).a.largestMagnitude > 0)
  }

  @Test func fromZeroOnlyBMoves() throws {
    var bench = bench
    bench.b = bench.b * 0
    let factors = try bench.run(make(), rate: 0.01)
    #expect(factors[1].a.values == bench.a.values && factors[1].b.largestMagnitude > 0)
    #expect(factors.allSatisfy { $0.a.isFinite && $0.b.isFinite })
  }

  @Test func stateSize() throws {
    let size = try make().begin(bench.parameters()).tensors.values.reduce(0) { $0 + $1.count }
    #expect(size == 2 * 2 * 12 + 2 * 2 * 2)
  }

  @Test func refusesRanksAboveTheWeights() throws {
    #expect(throws: Refusal.self) { try make().begin(PairBench(outputs: 3, inputs: 5, rank: 4).parameters()) }
  }
}
