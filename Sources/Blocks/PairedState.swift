import Engine
import PEFTKernel

/// The state of a rule for pairs: what it remembers of every pair, and AdamW's of everything else.
final class PairedState<Rule: PairedRule>: UpdateState {
  private let rule: Rule
  private let pairs: [TrainedPair]
  private var memories: [PairMemory]
  private let others: [Int]
  private let rest: any UpdateState

  init(_ rule: Rule, _ parameters: [Parameter]) throws(Refusal) {
    self.rule = rule
    (pairs, others) = try TrainedPair.all(in: parameters, for: rule.name)
    try rule.check(pairs)
    memories = pairs.map { PairMemory(rule.memory(of: $0), $0.down.value.scalar) }
    rest = try rule.rest.begin(others.map { parameters[$0] })
  }

  func step(_ parameters: [Parameter], _ gradients: [Tensor], _ evidence: StepEvidence) {
    // Pairs are read one by one, twice if need be: all of them in double would be many.
    var sum = 0.0
    if let measure = rule.measure {
      for pair in pairs { sum += (try? measure(read(pair, parameters, gradients, evidence))) ?? 0 }
    }
    for (i, pair) in pairs.enumerated() {
      let step = read(pair, parameters, gradients, evidence)
      var memory = memories[i]
      // Numbers that are none, and factors that cannot be divided by, leave the pair as it is.
      guard step.gradA.isFinite, step.gradB.isFinite, let move = try? rule.direction(step, &memory, sum: sum) else { continue }
      memory.steps += 1
      memories[i] = memory
      for (place, value, direction) in [(pair.places.down, step.a, move.a), (pair.places.up, step.b, move.b)] {
        guard let direction else { continue }
        let parameter = parameters[place]
        let next = value * (1 - step.rate * step.decay) - direction * step.rate
        parameter.value.overwrite(from: 0, with: next.converted(to: parameter.value.scalar))
      }
    }
    rest.step(others.map { parameters[$0] }, others.map { gradients[$0] }, evidence)
  }

  private func read(_ pair: TrainedPair, _ parameters: [Parameter], _ gradients: [Tensor], _ evidence: StepEvidence) -> PairStep {
    let (down, up) = (parameters[pair.places.down], parameters[pair.places.up])
    return PairStep(
      a: down.value.converted(to: .float64), b: up.value.converted(to: .float64),
      gradA: gradients[pair.places.down].converted(to: .float64), gradB: gradients[pair.places.up].converted(to: .float64),
      scale: down.scale, rate: evidence.learningRate, decay: down.decays ? rule.rest.weightDecay : 0,
      energies: evidence.energies[pair.pair])
  }

  // MARK: Checkpoints

  var tensors: [String: Tensor] {
    var all = rest.tensors
    for (pair, memory) in zip(pairs, memories) {
      for (name, value) in memory.stored { all[key(pair, name)] = value }
    }
    return all
  }

  var counters: [String: Int] {
    var all = rest.counters
    for (pair, memory) in zip(pairs, memories) { all[key(pair, "steps")] = memory.steps }
    return all
  }

  func restore(_ tensors: [String: Tensor], _ bytes: [String: [UInt8]], _ counters: [String: Int]) throws(Refusal) {
    var restored = memories
    for (i, pair) in pairs.enumerated() {
      guard let steps = counters[key(pair, "steps")] else {
        throw Refusal("the optimizer's state has no count of steps of \(pair.pair.id)")
      }
      restored[i].steps = steps
      for (name, value) in memories[i].stored {
        guard let saved = tensors[key(pair, name)], saved.shape == value.shape else {
          throw Refusal("the optimizer's state has no \(key(pair, name)) of shape \(value.shape)")
        }
        restored[i].stored[name] = saved.converted(to: value.scalar).copied()
      }
    }
    try rest.restore(tensors, bytes, counters)
    memories = restored
  }

  private func key(_ pair: TrainedPair, _ name: String) -> String { "pair.\(pair.pair.id).\(name)" }
}
