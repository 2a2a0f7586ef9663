import Blocks
import Catalog
import Engine
import PEFTKernel
import Testing

@testable import Conformance

/// What all rules for pairs have in common, for every one of them.
@Suite struct PairedRuleTests {
  static let names = [
    "adaprelora", "altlora", "altlora-plus", "lora-pro-adamw", "lora-pro-sgd", "lora-rite", "scaled-adamw", "scaled-gd",
  ]

  func rule(_ name: String, _ options: [String: OptionValue] = [:]) throws -> any UpdateRule {
    try Catalog.registry().rule(name, options: options)
  }

  func message(_ name: String, _ parameters: [Parameter]) -> String {
    do {
      _ = try rule(name).begin(parameters)
      return ""
    } catch { return "\(error)" }
  }

  @Test(arguments: names) func refusesWhatIsNoPair(_ name: String) throws {
    let (a, b) = (
      PairBench(outputs: 5, inputs: 4, rank: 2).parameters()[0], PairBench(outputs: 5, inputs: 4, rank: 2).parameters()[1]
    )
    func only(_ role: Role?, _ named: String) -> [Parameter] {
      [Parameter(name: named, role: role, decays: true, value: .zeros([4, 4]))]
    }
    #expect(
      message(name, only(.vector, "unilora_theta_d"))
        == "\(name) needs paired factors; `unilora_theta_d` is one vector that every factor is made from; use adamw")
    #expect(message(name, [a]).contains("`lora_A` is a factor whose partner is not trained"))
    #expect(message(name, [b]).contains("`lora_B` is a factor whose partner is not trained"))
    #expect(message(name, [a, b] + only(.up(nil), "tied")).contains("`tied`"))
    #expect(message(name, only(.core, "R")).contains("`R` is a core"))
    #expect(message(name, only(nil, "wte.weight")).contains("`wte.weight` is a tensor of the base"))
    for role in [Role.hidden, .entries, .diagonal, .router, .magnitude] {
      #expect(message(name, only(role, "t")).contains("`t`") && message(name, only(role, "t")).contains(role.name))
    }
  }

  /// Outside of pairs it is AdamW with the rule's numbers.
  @Test(arguments: names) func othersFollowAdamW(_ name: String) throws {
    let bench = PairBench(outputs: 5, inputs: 4, rank: 2)
    func bias() -> Parameter {
      Parameter(name: "bias", role: .bias, decays: false, value: Tensor([1, -2, 3], .float64))
    }
    let (ours, theirs) = (bench.parameters() + [bias()], [bias()])
    let state = try rule(name, ["beta1": .double(0.8), "beta2": .double(0.9)]).begin(ours)
    let adam = try AdamW(beta1: 0.8, beta2: 0.9).begin(theirs)
    for t in 1...3 {
      let gradient = Tensor([0.1, -0.2, Double(t)], .float64)
      let evidence = StepEvidence(learningRate: 0.01, energies: [PairBench.pair: Energies(of: bench.gradients[0])])
      state.step(ours, [bench.a * 0, bench.b * 0, gradient], evidence)
      adam.step(theirs, [gradient], evidence)
    }
    #expect(ours[2].value.values == theirs[0].value.values)
  }

  /// k + m steps are k, a checkpoint, and m, bit for bit, in the scalar of work.
  @Test(arguments: names + ["lora-plus"]) func resumes(_ name: String) throws {
    let bench = PairBench(outputs: 9, inputs: 6, rank: 3, scale: 2, steps: 7, gradient: 0.1)
    let rule = try rule(name)
    let whole = bench.parameters(.float32)
    let state = try rule.begin(whole)
    for t in 0..<7 { bench.step(t, state, whole, rate: 0.01) }
    let halves = bench.parameters(.float32)
    let first = try rule.begin(halves)
    for t in 0..<4 { bench.step(t, first, halves, rate: 0.01) }
    let second = try rule.begin(halves)
    try second.restore(first.tensors.mapValues { $0.copied() }, first.bytes, first.counters)
    for t in 4..<7 { bench.step(t, second, halves, rate: 0.01) }
    for (x, y) in zip(whole, halves) { #expect(x.value.floats == y.value.floats) }
    #expect(throws: Refusal.self) { try second.restore([:], [:], [:]) }
    var short = first.tensors
    if let key = short.keys.sorted().first { short[key] = .zeros([1]) }
    if !short.isEmpty { #expect(throws: Refusal.self) { try second.restore(short, [:], first.counters) } }
  }

  @Test(arguments: names) func standsStillWithoutGradient(_ name: String) throws {
    var bench = PairBench(outputs: 5, inputs: 4, rank: 2, steps: 3)
    bench.gradients = bench.gradients.map { $0 * 0 }
    let last = try bench.run(rule(name, ["weight_decay": .double(0)]), rate: 0.1)[3]
    #expect(last.a.values == bench.a.values && last.b.values == bench.b.values)
  }

  /// Gradients that are no numbers: the pair waits, and what is remembered stays.
  @Test(arguments: names) func waitsForNumbers(_ name: String) throws {
    var bench = PairBench(outputs: 5, inputs: 4, rank: 2, steps: 2, gradient: 0.1)
    let parameters = bench.parameters()
    let state = try rule(name).begin(parameters)
    bench.step(0, state, parameters, rate: 0.01)
    let (before, kept) = (parameters.map(\.value.values), state.tensors.mapValues(\.values))
    bench.gradients[1] = bench.gradients[1] * .nan
    bench.step(1, state, parameters, rate: 0.01)
    #expect(parameters.map(\.value.values) == before)
    #expect(state.tensors.mapValues(\.values) == kept)
    #expect(state.counters["pair.bench.steps"] == 1)
  }

  /// In 32 bits the steps are those of 64, up to rounding.
  @Test(arguments: names) func worksIn32Bits(_ name: String) throws {
    let bench = PairBench(outputs: 40, inputs: 30, rank: 4, scale: 2, steps: 3, gradient: 0.1)
    let parameters = bench.parameters(.float32)
    let state = try rule(name).begin(parameters)
    for t in 0..<3 { bench.step(t, state, parameters, rate: 0.01) }
    let exact = try bench.run(rule(name), rate: 0.01)[3]
    #expect((parameters[0].value.converted(to: .float64) - exact.a).largestMagnitude < 1e-5)
    #expect((parameters[1].value.converted(to: .float64) - exact.b).largestMagnitude < 1e-5)
    #expect(state.tensors.values.allSatisfy { $0.scalar == .float32 })
  }

  @Test(arguments: names + ["lora-plus"]) func optionsOutOfRange(_ name: String) throws {
    let wrong: [String: [OptionValue]] = [
      "beta1": [.double(1), .double(-0.1), .string("x")], "beta2": [.double(1)], "eps": [.double(-1)],
      "weight_decay": [.double(-1), .double(.infinity)], "reg": [.double(-1)], "damping": [.double(-1)], "clip": [.double(-1)],
      "skip": [.double(-1)], "lr_ratio": [.double(0.5)], "statistics": [.string("both")], "beta2_schedule": [.int(1)],
      "alternate_every": [.int(0)], "no_such_option": [.int(1)],
    ]
    let known = try #require(Catalog.registry().axes.optimizers[name]).options.map(\.name)
    #expect(Set(known).isSubset(of: wrong.keys))
    for (option, values) in wrong {
      for value in values {
        #expect { try rule(name, [option: value]) } throws: { "\($0)".contains(option) }
      }
    }
  }

  /// Steps of every rule on ½‖B·A − W‖² make it fall.
  @Test(arguments: zip(names, [0.02, 0.1, 0.05, 0.02, 0.1, 0.05, 0.02, 0.1])) func learns(_ name: String, _ rate: Double) throws {
    var random = Philox(key: 8)
    let target = random.normal([12, 2], deviation: 1, .float64) ⋅ random.normal([2, 10], deviation: 1, .float64)
    var bench = PairBench(outputs: 12, inputs: 10, rank: 3)
    bench.b = bench.b * 0
    let parameters = bench.parameters(.float32)
    let state = try rule(name).begin(parameters)
    func error() -> Tensor {
      parameters[1].value.converted(to: .float64) ⋅ parameters[0].value.converted(to: .float64) - target
    }
    let before = error().sumOfSquares
    for _ in 0..<100 {
      bench.gradients = [error() * (1 / before.squareRoot())]
      bench.step(0, state, parameters, rate: rate)
    }
    #expect(error().sumOfSquares < 0.5 * before, "\(name): \(error().sumOfSquares / before)")
  }

  /// In a trainer, on a transformer, with the energies that the run measures.
  @Test(arguments: zip(names + ["lora-plus"], [3e-3, 0.02, 5e-3, 3e-3, 0.05, 0.01, 5e-3, 0.05, 2e-3]))
  func trainsAModel(_ name: String, _ rate: Double) throws {
    let registry = try Catalog.registry()
    let entry = try registry.entry("lora", overriding: ["rank": .int(4), "alpha": .int(4)])
    let shop = try Workshop(entry, try registry.assemble(entry), learningRate: rate)
    let trainer = try shop.trainer(try shop.adapter(), rule(name))
    let before = shop.loss(trainer)
    for _ in 0..<20 { _ = try trainer.takeStep() }
    #expect(shop.loss(trainer) < 0.97 * before, "from \(before) to \(shop.loss(trainer))")
  }
}
