import Blocks
import Conformance
import Engine
import PEFTKernel
import ScaledAdamW
import Testing

@Suite struct ScaledAdamWTests {
  let bench = PairBench(outputs: 7, inputs: 5, rank: 2, scale: 1.5, steps: 4)

  func make(_ definition: AxisDefinition<any UpdateRule>, _ options: [String: OptionValue]) throws -> any UpdateRule {
    try definition.make(Options(options, checkedBy: definition.options))
  }

  /// s·B·ĝ_A = s²·P_B·G: no trace of B's size is left.
  @Test func stepOfAIsTheProjectedGradient() throws {
    let d = try bench.direction(make(ScaledRule.gradientDescent, ["reg": .double(0)]))
    let projector = bench.b ⋅ (try LinearAlgebra.pseudoInverse(bench.b, tolerance: 0))
    let expected = projector ⋅ bench.gradients[0] * (1.5 * 1.5)
    #expect((bench.b ⋅ d.a * 1.5 - expected).largestMagnitude < 1e-12)
  }

  /// AdamW on gradients that were divided by the Gram matrices of the old factors.
  @Test func adamSeesPreconditionedGradients() throws {
    let factors = try bench.run(
      make(ScaledRule.adamW, ["reg": .double(0.5), "weight_decay": .double(0.1)]), rate: 0.01)
    let parameters = bench.parameters()
    let adam = try AdamW(weightDecay: 0.1).begin(parameters)
    for (t, g) in bench.gradients.enumerated() {
      let (a, b) = (parameters[0].value.copied(), parameters[1].value.copied())
      func inverse(_ gram: Tensor) throws -> Tensor {
        try LinearAlgebra.pseudoInverse(gram + .identity(2, .float64) * 0.5, tolerance: 0)
      }
      let scaled = [try inverse(b.t ⋅ b) ⋅ (b.t ⋅ g * 1.5), (g ⋅ a.t * 1.5) ⋅ (try inverse(a ⋅ a.t))]
      adam.step(parameters, scaled, StepEvidence(learningRate: 0.01))
      #expect((parameters[0].value - factors[t + 1].a).largestMagnitude < 1e-11)
      #expect((parameters[1].value - factors[t + 1].b).largestMagnitude < 1e-11)
    }
  }

  /// Scaled gradient descent does not depend on the basis of the pair, Adam's moments do.
  @Test func basisOfThePair() throws {
    func distance(_ definition: AxisDefinition<any UpdateRule>) throws -> Double {
      let rule = try make(definition, ["reg": .double(0)])
      let (one, other) = (try bench.run(rule, rate: 0.01)[4], try bench.rebased().run(rule, rate: 0.01)[4])
      return ((one.b ⋅ one.a) - (other.b ⋅ other.a)).largestMagnitude
    }
    #expect(try distance(ScaledRule.gradientDescent) < 1e-11)
    #expect(try distance(ScaledRule.adamW) > 1e-4)
  }

  @Test func stateSizes() throws {
    func size(_ definition: AxisDefinition<any UpdateRule>) throws -> Int {
      try make(definition, [:]).begin(bench.parameters()).tensors.values.reduce(0) { $0 + $1.count }
    }
    #expect(try size(ScaledRule.gradientDescent) == 0)
    #expect(try size(ScaledRule.adamW) == 2 * 2 * 12)
  }
}
