import Engine
import PEFTKernel

/// Adam with decoupled weight decay [arXiv:1711.05101], as `torch.optim.AdamW` computes it. Serves any parameter.
public struct AdamW: UpdateRule {
  public var beta1: Double
  public var beta2: Double
  public var eps: Double
  public var weightDecay: Double

  public init(beta1: Double = 0.9, beta2: Double = 0.999, eps: Double = 1e-8, weightDecay: Double = 0) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.eps = eps
    self.weightDecay = weightDecay
  }

  public func begin(_ parameters: [Parameter]) throws(Refusal) -> any UpdateState {
    AdamWState(rule: self, parameters)
  }

  public static let definition = AxisDefinition<any UpdateRule>(
    "adamw", "Adam with decoupled weight decay",
    options: [
      OptionSpec("betas", .numbers, default: .list([.double(0.9), .double(0.999)]), "decay of the two moments"),
      OptionSpec("eps", .number(0...1, aboveLower: true), default: .double(1e-8), "added to the root of the second moment"),
      OptionSpec("weight_decay", .number(0...1), default: .double(0), "decoupled decay of matrices"),
    ]
  ) { (options) throws(Refusal) in
    let betas = options.doubles("betas")
    guard betas.count == 2, betas.allSatisfy({ 0 <= $0 && $0 < 1 }) else {
      throw Refusal("betas is \(options.values["betas"]?.text ?? ""), but must be two numbers in [0, 1)")
    }
    return AdamW(
      beta1: betas[0], beta2: betas[1], eps: options.double("eps"), weightDecay: options.double("weight_decay"))
  }
}

private final class AdamWState: UpdateState {
  let rule: AdamW
  let names: [String]
  let moments: [(m: Tensor, v: Tensor)]
  var count = 0

  init(rule: AdamW, _ parameters: [Parameter]) {
    self.rule = rule
    names = parameters.map(\.name)
    moments = parameters.map { (.zeros($0.value.shape, $0.value.scalar), .zeros($0.value.shape, $0.value.scalar)) }
  }

  func step(_ parameters: [Parameter], _ gradients: [Tensor], _ evidence: StepEvidence) {
    count += 1
    for (i, parameter) in parameters.enumerated() {
      parameter.value.adamW(
        gradient: gradients[i], m: moments[i].m, v: moments[i].v,
        AdamWStep(
          learningRate: evidence.learningRate, beta1: rule.beta1, beta2: rule.beta2, eps: rule.eps,
          weightDecay: parameter.decays ? rule.weightDecay : 0, count: count))
    }
  }

  var tensors: [String: Tensor] {
    var all: [String: Tensor] = [:]
    for (name, moment) in zip(names, moments) {
      all["m." + name] = moment.m
      all["v." + name] = moment.v
    }
    return all
  }

  var counters: [String: Int] { ["count": count] }

  func restore(_ tensors: [String: Tensor], _ bytes: [String: [UInt8]], _ counters: [String: Int]) throws(Refusal) {
    guard let count = counters["count"] else { throw Refusal("the optimizer's state has no step count") }
    for (name, moment) in zip(names, moments) {
      for (prefix, target) in [("m.", moment.m), ("v.", moment.v)] {
        guard let saved = tensors[prefix + name], saved.shape == target.shape else {
          throw Refusal("the optimizer's state has no \(prefix + name) of shape \(target.shape)")
        }
        target.overwrite(from: 0, with: saved.converted(to: target.scalar))
      }
    }
    self.count = count
  }
}
