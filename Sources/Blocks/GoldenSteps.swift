import Engine
import PEFTKernel

/// A reference file of steps, taken: a rule moved the one pair `param.lora_A.0`, `param.lora_B.0` by the gradients
/// `grad.lora_A.t`, `grad.lora_B.t` of t = 1, 2, … What belongs to step 0 stands first.
public struct GoldenSteps: Sendable {
  /// A and B before the first step and after every step.
  public var factors: [(a: Tensor, b: Tensor)]
  /// Their gradients in every step; at 0 there are none.
  public var gradients: [(a: Tensor, b: Tensor)]
  /// ∂loss/∂(B·A) [out, in], scale included, in every step.
  public var products: [Tensor]
  /// What the rule remembered of the pair after every step.
  public var states: [[String: Tensor]]
  /// What it said the steps are, of a rule for pairs. (As differences of factors, they would lose digits.)
  public var directions: [PairDirection] = []

  /// The number of the last step.
  public var last: Int { factors.count - 1 }

  /// What a rule for pairs sees of step t.
  public func step(_ t: Int, scale: Double = 1, rate: Double = 0, decay: Double = 0) -> PairStep {
    func double(_ tensor: Tensor) -> Tensor { tensor.converted(to: .float64) }
    return PairStep(
      a: double(factors[t - 1].a), b: double(factors[t - 1].b), gradA: double(gradients[t].a), gradB: double(gradients[t].b),
      scale: scale, rate: rate, decay: decay, energies: Energies(of: double(products[t])))
  }

  /// The factors after every step, and their gradients as they follow from ∂loss/∂(B·A): what every such file states.
  public var results: [String: Tensor] {
    var results: [String: Tensor] = [:]
    for t in factors.indices.dropFirst() {
      let step = step(t)
      let product = products[t].converted(to: .float64)
      results["param.lora_A.\(t)"] = factors[t].a
      results["param.lora_B.\(t)"] = factors[t].b
      results["grad.lora_A.\(t)"] = step.b.t ⋅ product
      results["grad.lora_B.\(t)"] = product ⋅ step.a.t
    }
    return results
  }
}

extension GoldenReader {
  /// A reader of the files `lora-optimizers` that are about one of these optimizers.
  public static func ofPairs(_ definitions: [AxisDefinition<any UpdateRule>]) -> GoldenReader {
    @Sendable func definition(_ file: GoldenFile) -> AxisDefinition<any UpdateRule>? {
      guard case .string(let name)? = file.config["optimizer"] else { return nil }
      return definitions.first { $0.name == name.replacing("_", with: "-") }
    }
    return GoldenReader(
      reads: { $0.isOf("lora-optimizers") && definition($0) != nil },
      compute: { (file) throws(Refusal) in
        guard let definition = definition(file), let rank = file.int("r") else { throw Refusal("the config has no `r`") }
        let scale = (file.config["lora_alpha"]?.number ?? Double(rank)) / Double(rank)
        let steps = try file.steps(definition, product: "given.GW", factor: scale)
        return GoldenComputation(entry: definition.name, results: steps.results)
      })
  }
}

extension GoldenFile {
  /// The options of an optimizer that the file states, by the optimizer's own names; those that say what the file is about,
  /// or how its numbers were drawn, are left out, and of those all rules share the ones that this rule has no use for.
  public func options(of definition: AxisDefinition<any UpdateRule>) throws(Refusal) -> Options {
    var given = options
    for name in ["r", "lora_alpha", "lr", "optimizer"] { given[name] = nil }
    for name in ["beta1", "beta2", "eps", "weight_decay"] where !definition.options.contains(where: { $0.name == name }) {
      given[name] = nil
    }
    if let beta1 = config["beta1"], let beta2 = config["beta2"], definition.options.contains(where: { $0.name == "betas" }) {
      given["betas"] = .list([beta1, beta2])
    }
    return try Options(given, checkedBy: definition.options)
  }

  /// Takes the steps that the file states, with the optimizer as its config describes it. `given` is the file's name for the
  /// gradient of the product, which is `factor` times the tensor.
  public func steps(
    _ definition: AxisDefinition<any UpdateRule>, product given: String, factor: Double = 1
  ) throws(Refusal) -> GoldenSteps {
    guard let rate = config["lr"]?.number else { throw Refusal("the file's config has no `lr`") }
    let pair = Pair("pair")
    let parameters = [
      Parameter(
        name: "lora_A", role: .down(pair), decays: true, value: try tensor("param.lora_A.0").copied(), scale: factor),
      Parameter(name: "lora_B", role: .up(pair), decays: true, value: try tensor("param.lora_B.0").copied(), scale: factor),
    ]
    let rule = try definition.make(try options(of: definition))
    let state = try rule.begin(parameters)
    var steps = GoldenSteps(factors: [], gradients: [], products: [], states: [])
    func note(_ gradients: [Tensor], _ product: Tensor) {
      steps.factors.append((parameters[0].value.copied(), parameters[1].value.copied()))
      steps.gradients.append((gradients[0], gradients[1]))
      steps.products.append(product)
      let prefix = "pair.\(pair.id)."
      let own = state.tensors.filter { $0.key.hasPrefix(prefix) }
      steps.states.append(
        Dictionary(uniqueKeysWithValues: own.map { (String($0.key.dropFirst(prefix.count)), $0.value.copied()) }))
    }
    note(parameters.map(\.value), .zeros([]))
    while let gradientA = tensors["grad.lora_A.\(steps.last + 1)"] {
      let t = steps.last + 1
      let gradients = [gradientA, try tensor("grad.lora_B.\(t)")]
      let product = try tensor("\(given).\(t)") * factor
      state.step(
        parameters, gradients, StepEvidence(learningRate: rate, energies: [pair: Energies(of: product.converted(to: .float64))]))
      note(gradients, product)
    }
    guard steps.last > 0 else { throw Refusal("the file has no step: no grad.lora_A.1") }
    if let rule = rule as? any PairedRule {
      steps.directions = try directions(rule, try TrainedPair.all(in: parameters, for: rule.name).pairs[0], steps, rate)
    }
    return steps
  }

  private func directions(
    _ rule: some PairedRule, _ pair: TrainedPair, _ steps: GoldenSteps, _ rate: Double
  ) throws(Refusal) -> [PairDirection] {
    var memory = PairMemory(rule.memory(of: pair), .float64)
    var directions = [PairDirection(a: nil, b: nil)]
    for t in 1...steps.last {
      let step = steps.step(t, scale: pair.down.scale, rate: rate, decay: rule.rest.weightDecay)
      do {
        let sum = try rule.measure?(step) ?? 0
        directions.append(try rule.direction(step, &memory, sum: sum) ?? PairDirection(a: nil, b: nil))
      } catch { throw Refusal("step \(t): \(error)") }
      memory.steps += 1
    }
    return directions
  }
}

extension Energies {
  /// Those of G [out, in] as a whole.
  public init(of g: Tensor) {
    let (values, width) = (g.values, g.columns)
    var (rows, columns) = ([Double](repeating: 0, count: g.rows), [Double](repeating: 0, count: width))
    for i in rows.indices {
      for j in 0..<width {
        let square = values[i * width + j] * values[i * width + j]
        rows[i] += square
        columns[j] += square
      }
    }
    self.init(rows: rows, columns: columns)
  }
}
