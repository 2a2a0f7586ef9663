import Blocks
import Conformance
import Engine
import LoRAPlus
import PEFTKernel
import Testing

@Suite struct LoRAPlusTests {
  let bench = PairBench(outputs: 7, inputs: 5, rank: 2, steps: 4)

  func rule(_ ratio: Double) throws -> any UpdateRule {
    let definition = LoRAPlusRule.definition
    return try definition.make(
      Options(["lr_ratio": .double(ratio), "weight_decay": .double(0.1)], checkedBy: definition.options))
  }

  /// With ρ = 1 it is AdamW, bit for bit.
  @Test func ratioOneIsAdamW() throws {
    let (ours, adam) = (try bench.run(rule(1), rate: 0.01), try bench.run(AdamW(weightDecay: 0.1), rate: 0.01))
    for (x, y) in zip(ours, adam) { #expect(x.a.values == y.a.values && x.b.values == y.b.values) }
  }

  /// B goes as with AdamW at ρ·η where A's values do not reach its gradients: both are given.
  @Test func factorBMovesFaster() throws {
    let (slow, fast) = (bench.parameters(), bench.parameters())
    let (plus, adam) = (try rule(16).begin(slow), try AdamW(weightDecay: 0.1).begin(fast))
    let gradients = [bench.a * 0.3, bench.b * 0.7]
    for _ in 0..<3 {
      plus.step(slow, gradients, StepEvidence(learningRate: 0.01))
      adam.step(fast, gradients, StepEvidence(learningRate: 0.16))
    }
    #expect(slow[1].value.values == fast[1].value.values)
    #expect(slow[0].value.values != fast[0].value.values)
  }

  /// Vectors go with B, and keep their size; matrices of the base go with A.
  @Test func groups() throws {
    func parameters() -> [Parameter] {
      bench.parameters() + [
        Parameter(name: "lora_B.bias", role: .bias, decays: true, value: Tensor([1, 2], .float64)),
        Parameter(name: "head", role: nil, decays: true, value: Tensor([1, 2], shape: [1, 2], .float64)),
      ]
    }
    let ours = parameters()
    let state = try rule(4).begin(ours)
    let gradients = ours.map { $0.value * 0.5 }
    state.step(ours, gradients, StepEvidence(learningRate: 0.01))
    func moved(_ decay: Double, _ rate: Double, _ place: Int) throws -> [Double] {
      let own = [parameters()[place]]
      try AdamW(weightDecay: decay).begin(own).step(own, [gradients[place]], StepEvidence(learningRate: rate))
      return own[0].value.values
    }
    #expect(try ours[2].value.values == moved(0, 0.04, 2))
    #expect(try ours[3].value.values == moved(0.1, 0.01, 3))
  }

  @Test func needsBothSides() throws {
    func message(_ parameters: [Parameter]) -> String {
      do {
        _ = try rule(2).begin(parameters)
        return ""
      } catch { return "\(error)" }
    }
    #expect(message([bench.parameters()[0]]).contains("no factor B is trained"))
    #expect(message([bench.parameters()[1]]).contains("no factor A is trained"))
    #expect(message([Parameter(name: "theta", role: .vector, decays: true, value: .zeros([3]))]).contains("`theta`"))
  }
}
