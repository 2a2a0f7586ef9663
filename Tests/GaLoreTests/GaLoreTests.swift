import Blocks
import Engine
import GaLore
import PEFTKernel
import Testing

@Suite struct GaLoreTests {
  private let site = Site(id: SiteID("site"), use: "mlp.up", outputs: 12, inputs: 8)

  private func rule(_ options: [String: OptionValue], named name: String = "galore") throws -> any UpdateRule {
    let definition = try #require(GaLoreMethod.plugin.optimizers.first { $0.name == name })
    return try definition.make(Options(options, checkedBy: definition.options))
  }

  private func weight(isTransposed: Bool = false) -> Parameter {
    var random = Philox(key: 1)
    let value = random.normal([12, 8], deviation: 1, .float64)
    return Parameter(
      name: "w", role: nil, decays: true, value: isTransposed ? value.transposed.copied() : value, site: site,
      isTransposed: isTransposed)
  }

  private func gradient(_ key: UInt64) -> Tensor {
    var random = Philox(key: key)
    return random.normal([12, 8], deviation: 1, .float64)
  }

  /// Inside a window the weight moves in r directions, over two windows in no more than 2·r.
  @Test func movesInItsSubspace() throws {
    let parameter = weight()
    let before = parameter.value.copied()
    let state = try rule(["rank": .int(2), "update_proj_gap": .int(3)]).begin([parameter])
    for t in 0..<6 {
      state.step([parameter], [gradient(UInt64(10 + t))], StepEvidence(learningRate: 0.01))
      let spectrum = try LinearAlgebra.svd(parameter.value - before).s
      let rank = t < 3 ? 2 : 4
      #expect(spectrum[rank] < 1e-12 * spectrum[0])
    }
  }

  /// A weight held as its transpose takes the same steps.
  @Test(arguments: GaLore.Side.allCases) func orientationDoesNotMatter(_ side: GaLore.Side) throws {
    let rule = try rule(["rank": .int(3), "proj_type": .string(side.rawValue), "weight_decay": .double(0.1)])
    let (plain, turned) = (weight(), weight(isTransposed: true))
    let states = (try rule.begin([plain]), try rule.begin([turned]))
    for t in 0..<3 {
      let gradient = gradient(UInt64(20 + t))
      states.0.step([plain], [gradient], StepEvidence(learningRate: 0.01))
      states.1.step([turned], [gradient.transposed], StepEvidence(learningRate: 0.01))
    }
    #expect((plain.value - turned.value.transposed).largestMagnitude < 1e-10)
  }

  /// p·r + 2·q·r floats of state; with bytes a quarter of the moments.
  @Test func stateIsAsSmallAsThePaperSays() throws {
    let parameter = weight()
    for bits in [32, 8] {
      let options: [String: OptionValue] = ["rank": .int(2), "bits": .int(bits), "min_8bit_size": .int(0), "block": .int(12)]
      let state = try rule(options).begin([parameter])
      state.step([parameter], [gradient(3)], StepEvidence(learningRate: 0.01))
      let floats = state.tensors.values.reduce(0) { $0 + $1.count }
      let codes = state.bytes.values.reduce(0) { $0 + $1.count }
      #expect(floats == (bits == 32 ? 8 * 2 + 2 * 12 * 2 : 8 * 2 + 2 * 2))
      #expect(codes == (bits == 32 ? 0 : 2 * 12 * 2))
    }
  }

  @Test(arguments: ["galore", "galore-adafactor"], [32, 8]) func goesOnWhereItStopped(_ name: String, _ bits: Int) throws {
    var options: [String: OptionValue] = ["rank": .int(2), "update_proj_gap": .int(2)]
    if name == "galore" { options.merge(["bits": .int(bits), "min_8bit_size": .int(0), "block": .int(16)]) { $1 } }
    let rule = try rule(options, named: name)
    let (whole, halves) = (weight(), weight())
    let state = try rule.begin([whole])
    var other = try rule.begin([halves])
    for t in 0..<4 {
      state.step([whole], [gradient(UInt64(t))], StepEvidence(learningRate: 0.02))
      if t == 2 {
        let fresh = try rule.begin([halves])
        try fresh.restore(other.tensors, other.bytes, other.counters)
        other = fresh
      }
      other.step([halves], [gradient(UInt64(t))], StepEvidence(learningRate: 0.02))
    }
    #expect((whole.value - halves.value).largestMagnitude == 0)
  }

  /// ½‖W − M‖² falls.
  @Test(arguments: ["galore", "galore-adafactor"]) func descends(_ name: String) throws {
    let parameter = weight()
    let goal = gradient(7)
    let state = try rule(["rank": .int(4), "update_proj_gap": .int(5)], named: name).begin([parameter])
    let before = (parameter.value - goal).sumOfSquares
    for _ in 0..<200 { state.step([parameter], [parameter.value - goal], StepEvidence(learningRate: 0.03)) }
    #expect((parameter.value - goal).sumOfSquares < 0.1 * before)
  }

  @Test func refusesWhatItCannotProject() throws {
    let adapter = Parameter(name: "site.lora_A", role: .down(nil), decays: true, value: .zeros([2, 8]))
    func reason(_ options: [String: OptionValue], _ parameters: [Parameter]) -> String {
      do {
        _ = try rule(options).begin(parameters)
        return ""
      } catch { return "\(error)" }
    }
    #expect(reason(["rank": .int(2)], [adapter]).contains("galore projects the gradients of full weights"))
    #expect(reason(["rank": .int(9)], [weight()]).contains("rank to at most 8"))
    #expect(reason(["bits": .int(16)], [weight()]).contains("8 or 32"))
    // Without a weight of a site there is nothing to project: AdamW serves.
    let norm = Parameter(name: "norm", role: nil, decays: false, value: .zeros([8], .float64))
    #expect(reason(["rank": .int(9)], [norm]) == "")
  }
}
