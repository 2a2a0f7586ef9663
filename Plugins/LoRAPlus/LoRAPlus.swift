import Blocks
import Engine
import PEFTKernel

/// The optimizer `lora-plus`.
public enum LoRAPlusMethod {
  public static let plugin = Plugin("lora-plus", optimizers: [LoRAPlusRule.definition], goldens: [golden])

  static let golden = GoldenReader.ofPairs([LoRAPlusRule.definition])
}

/// LoRA+, "Efficient Low Rank Adaptation of Large Models" [arXiv:2402.12354].
///
///     A ← AdamW at η,   B ← AdamW at ρ·η
///
/// B starts at 0 and meets activations of A's size: in wide models it may, and should, move faster than A for both to learn.
/// Vectors (biases, magnitudes) go with B, without decay; everything else goes with A. η is best about half of what plain
/// LoRA takes. Decay follows the rate of each group. State: AdamW's. With ρ = 1 it is AdamW.
public struct LoRAPlusRule: UpdateRule {
  /// ρ.
  public var ratio: Double
  public var rule: AdamW

  public func begin(_ parameters: [Parameter]) throws(Refusal) -> any UpdateState {
    for (side, isThere) in [("A", { (role: Role) in role.isDown }), ("B", { (role: Role) in role.isUp })] {
      guard let first = parameters.first, !parameters.contains(where: { $0.role.map(isThere) ?? false }) else { continue }
      throw Refusal(
        "lora-plus sets the rates of factors A and B apart, but no factor \(side) is trained: `\(first.name)` and the like",
        remedy: "use adamw")
    }
    return try LoRAPlusState(self, parameters)
  }

  public static let definition = AxisDefinition<any UpdateRule>(
    "lora-plus", "AdamW with a higher rate for factors B",
    options: PairedOptions.ofAdam() + [
      OptionSpec(
        "lr_ratio", .number(1...Double.greatestFiniteMagnitude), default: .double(16), "the rate of B as a multiple of A's",
        aliases: [.init("loraplus_lr_ratio")])
    ]
  ) { (options) throws(Refusal) in
    LoRAPlusRule(ratio: options.double("lr_ratio"), rule: AdamW(outsideOfPairs: options))
  }
}

/// AdamW's state of either group.
private final class LoRAPlusState: UpdateState {
  private let groups: [(places: [Int], ratio: Double, state: any UpdateState)]

  init(_ rule: LoRAPlusRule, _ parameters: [Parameter]) throws(Refusal) {
    let isFast = parameters.map { $0.role?.isUp == true || $0.value.rank <= 1 }
    let slow = parameters.indices.filter { !isFast[$0] }
    let fast = parameters.indices.filter { isFast[$0] }
    groups = [
      (slow, 1, try rule.rule.begin(Self.members(slow, parameters))),
      (fast, rule.ratio, try rule.rule.begin(Self.members(fast, parameters))),
    ]
  }

  /// The parameters at some places; vectors do not decay.
  private static func members(_ places: [Int], _ parameters: [Parameter]) -> [Parameter] {
    places.map {
      var parameter = parameters[$0]
      parameter.decays = parameter.decays && parameter.value.rank > 1
      return parameter
    }
  }

  func step(_ parameters: [Parameter], _ gradients: [Tensor], _ evidence: StepEvidence) {
    for (places, ratio, state) in groups {
      var evidence = evidence
      evidence.learningRate *= ratio
      state.step(Self.members(places, parameters), places.map { gradients[$0] }, evidence)
    }
  }

  var tensors: [String: Tensor] { groups.reduce(into: [:]) { $0.merge($1.state.tensors) { $1 } } }

  /// Both groups count the same steps.
  var counters: [String: Int] { groups[0].state.counters }

  func restore(_ tensors: [String: Tensor], _ bytes: [String: [UInt8]], _ counters: [String: Int]) throws(Refusal) {
    for group in groups { try group.state.restore(tensors, bytes, counters) }
  }
}
