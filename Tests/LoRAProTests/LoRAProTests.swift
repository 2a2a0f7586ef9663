import Blocks
import Conformance
import Engine
import LoRAPro
import PEFTKernel
import Testing

@Suite struct LoRAProTests {
  let bench = PairBench(outputs: 7, inputs: 5, rank: 2, scale: 1.5, steps: 3)

  func make(_ definition: AxisDefinition<any UpdateRule>, _ options: [String: OptionValue] = [:]) throws -> any UpdateRule {
    try definition.make(Options(options, checkedBy: definition.options))
  }

  /// P_B·G + G·P_A − P_B·G·P_A.
  func projected(_ g: Tensor) throws -> Tensor {
    let pB = bench.b ⋅ (try LinearAlgebra.pseudoInverse(bench.b, tolerance: 0))
    let pA = (try LinearAlgebra.pseudoInverse(bench.a, tolerance: 0)) ⋅ bench.a
    return pB ⋅ g + g ⋅ pA - (pB ⋅ g) ⋅ pA
  }

  @Test func effectIsTheProjectedGradient() throws {
    let d = try bench.direction(make(LoRAProRule.gradientDescent, ["reg": .double(0)]))
    #expect((bench.effect(d) * 1.5 - (try projected(bench.gradients[0]))).largestMagnitude < 1e-12)
  }

  /// Among all steps of that effect, the nearest to the factors' own gradients.
  @Test func nearestToTheGradients() throws {
    let d = try bench.direction(make(LoRAProRule.gradientDescent, ["reg": .double(0)]))
    let g = bench.gradients[0] * 1.5
    let (gradA, gradB) = (bench.b.t ⋅ g, g ⋅ bench.a.t)
    func distance(_ x: Tensor) -> Double {
      (d.a + x ⋅ bench.a - gradA).sumOfSquares + (d.b - bench.b ⋅ x - gradB).sumOfSquares
    }
    var random = Philox(key: 4)
    let least = distance(.zeros([2, 2], .float64))
    for _ in 0..<100 { #expect(distance(random.normal([2, 2], deviation: 0.01, .float64)) >= least) }
  }

  /// The weight's step does not depend on the basis of the pair, though the choice of X, and with it later steps, does.
  @Test func basisOfThePairDoesNotMatterForTheEffect() throws {
    let rule = try make(LoRAProRule.gradientDescent, ["reg": .double(0)])
    let other = try bench.rebased()
    let (one, two) = (bench.effect(try bench.direction(rule)), other.effect(try other.direction(rule)))
    #expect((one - two).largestMagnitude < 1e-11)
  }

  /// The first step of Adam on a weight gradient W̃ is W̃/(|W̃| + eps): its projection is the effect, in any number of blocks.
  @Test(arguments: [7, 130]) func adamMovesTheWeight(_ outputs: Int) throws {
    let bench = PairBench(outputs: outputs, inputs: 5, rank: 2, scale: 1.5)
    let d = try bench.direction(make(LoRAProRule.adamW, ["reg": .double(0), "eps": .double(1e-3)]))
    let pB = bench.b ⋅ (try LinearAlgebra.pseudoInverse(bench.b, tolerance: 0))
    let pA = (try LinearAlgebra.pseudoInverse(bench.a, tolerance: 0)) ⋅ bench.a
    func projected(_ g: Tensor) -> Tensor { pB ⋅ g + g ⋅ pA - (pB ⋅ g) ⋅ pA }
    let weight = projected(bench.gradients[0])
    let w = weight.combined(with: weight) { x, _ in x / (abs(x) + 1e-3) }
    #expect((bench.effect(d) * 1.5 - projected(w)).largestMagnitude < 1e-11)
  }

  @Test func fromZeroOnlyBMoves() throws {
    var bench = bench
    bench.b = bench.b * 0
    for definition in [LoRAProRule.gradientDescent, LoRAProRule.adamW] {
      let d = try bench.direction(make(definition))
      #expect(d.a.largestMagnitude == 0 && d.b.largestMagnitude > 0 && d.b.isFinite)
    }
  }

  @Test func stateSizes() throws {
    func size(_ definition: AxisDefinition<any UpdateRule>) throws -> Int {
      try make(definition).begin(bench.parameters()).tensors.values.reduce(0) { $0 + $1.count }
    }
    #expect(try size(LoRAProRule.gradientDescent) == 0)
    #expect(try size(LoRAProRule.adamW) == 2 * 7 * 5)
  }

  @Test func scaleZeroIsRefused() throws {
    var bench = bench
    bench.scale = 0
    #expect(throws: Refusal.self) { try make(LoRAProRule.gradientDescent).begin(bench.parameters()) }
  }
}
