import AltLoRA
import Blocks
import Conformance
import Engine
import PEFTKernel
import Testing

@Suite struct AltLoRATests {
  let bench = PairBench(outputs: 7, inputs: 5, rank: 2, scale: 1.5, steps: 6)

  func make(_ definition: AxisDefinition<any UpdateRule>, _ options: [String: OptionValue] = [:]) throws -> any UpdateRule {
    try definition.make(Options(options, checkedBy: definition.options))
  }

  /// A moves on odd steps, B on even ones; the other keeps its bits, decay or not.
  @Test(arguments: [1, 2]) func frozenFactorKeepsItsBits(_ every: Int) throws {
    for definition in [AltLoRARule.plain, AltLoRARule.plus] {
      let rule = try make(definition, ["alternate_every": .int(every), "weight_decay": .double(0.1)])
      let factors = try bench.run(rule, rate: 0.01)
      for t in 0..<6 {
        let isA = t / every % 2 == 0
        #expect((factors[t].a.values == factors[t + 1].a.values) == !isA)
        #expect((factors[t].b.values == factors[t + 1].b.values) == isA)
      }
    }
  }

  @Test func basisOfThePairDoesNotMatter() throws {
    let rule = try make(AltLoRARule.plain, ["reg": .double(0)])
    for (one, other) in zip(try bench.run(rule, rate: 0.05), try bench.rebased().run(rule, rate: 0.05)) {
      #expect(((one.b ⋅ one.a) - (other.b ⋅ other.a)).largestMagnitude < 1e-11)
    }
  }

  /// The first move of A is gradient descent on what B = const allows: the effect s·B·d is s²·P_B·G.
  @Test func firstMoveIsTheProjectedGradient() throws {
    let d = try bench.direction(make(AltLoRARule.plain, ["reg": .double(0), "weight_decay": .double(0)]))
    let projector = bench.b ⋅ (try LinearAlgebra.pseudoInverse(bench.b, tolerance: 0))
    #expect((bench.b ⋅ d.a * 1.5 - projector ⋅ bench.gradients[0] * 2.25).largestMagnitude < 1e-12)
  }

  /// Decay comes after the move: A ← (1 − ηλ)·(A − η·d).
  @Test func decayComesLast() throws {
    func after(_ decay: Double) throws -> Tensor {
      try bench.run(make(AltLoRARule.plain, ["weight_decay": .double(decay)]), rate: 0.1)[1].a
    }
    #expect((try after(0.5) - after(0) * 0.95).largestMagnitude < 1e-14)
  }

  @Test func fromZeroBMovesFirst() throws {
    var bench = bench
    bench.b = bench.b * 0
    let factors = try bench.run(make(AltLoRARule.plus, ["weight_decay": .double(0)]), rate: 0.01)
    #expect(factors[1].a.values == bench.a.values && factors[2].b.largestMagnitude > 0)
    #expect(factors.allSatisfy { $0.a.isFinite && $0.b.isFinite })
  }

  @Test func stateSizes() throws {
    func size(_ definition: AxisDefinition<any UpdateRule>) throws -> Int {
      try make(definition).begin(bench.parameters()).tensors.values.reduce(0) { $0 + $1.count }
    }
    #expect(try size(AltLoRARule.plain) == 2 * 2 * 12)
    #expect(try size(AltLoRARule.plus) == 3 * 2 * 12)
  }
}
