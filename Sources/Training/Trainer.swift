import Engine
import Models
import PEFTKernel

/// What one optimizer step did.
public struct StepReport: Sendable {
  /// 1-based.
  public var step: Int
  /// Mean loss before the step: per learned token, or per example.
  public var loss: Double
  public var learningRate: Double
  public var gradientNorm: Double
  public var tokens: Int
}

/// Why training cannot go on.
public struct TrainingError: Error, Sendable, CustomStringConvertible {
  public var step: Int
  public var message: String

  public var description: String { "step \(step): \(message)" }
}

/// The loop's one step, for any method on any model: it knows parameters and gradients, never what they mean.
///
/// A trainer belongs to one caller at a time.
public final class Trainer {
  public let objective: any Objective
  /// The adapter in training; its tensors are updated in place.
  public private(set) var adapter: Adapter
  /// Tensors of the base that are trained in full, by name: those that belong to the adapter are its own.
  public let trainedBase: [String: Tensor]
  public let batches: BatchPlan
  public let schedule: Schedule
  public let peakRate: Double
  /// Global gradient norm above which gradients are scaled down; nil for never.
  public let clipNorm: Double?
  public let seed: UInt64
  public let activations: Activations
  /// Steps taken so far.
  public private(set) var step = 0

  let parameters: [Parameter]
  let state: any UpdateState
  private let wantsEnergies: Bool
  /// What the last step held for the optimizer to see beside the gradients, in bytes.
  private(set) var evidenceBytes = 0
  private let trainableKeys: [TensorKey]
  private let baseNames: [String]
  /// Fingerprint of the training examples.
  private(set) lazy var dataDigest = batches.digest

  /// Refuses, with the optimizer's rule, parameters that the optimizer cannot serve.
  public init(
    _ objective: any Objective, adapter: Adapter, batches: BatchPlan, optimizer: any UpdateRule, peakRate: Double,
    schedule: Schedule, clipNorm: Double?, seed: UInt64, activations: Activations = .kept
  ) throws(Refusal) {
    let model = objective.model
    self.objective = objective
    self.batches = batches
    self.schedule = schedule
    self.peakRate = peakRate
    self.clipNorm = clipNorm
    self.seed = seed
    self.activations = activations
    let subset = adapter.parameterization.trainable
    try Self.check(subset, on: model, at: adapter.sites)
    baseNames = subset.base ? model.parameters.map(\.name) : try model.trainedNames(subset, at: adapter.sites)
    trainedBase = Dictionary(
      uniqueKeysWithValues: baseNames.map { ($0, adapter.trained[$0]?.copied() ?? model.values(of: $0)) })
    let specs = adapter.trainable
    trainableKeys = specs.map(\.key)
    // The trainer's own copy: the caller's adapter stays as it was.
    var adapter = adapter
    for spec in specs { adapter.tensors[spec.key] = adapter.tensors[spec.key].copied() }
    if !subset.base { adapter.trained.merge(trainedBase) { $1 } }
    self.adapter = adapter
    let sites = Dictionary(uniqueKeysWithValues: adapter.sites.map { ($0.id, $0) })
    var parameters = specs.map { spec in
      var scale = 1.0
      if case .site(let id) = spec.key.scope, let site = sites[id] { scale = adapter.parameterization.projection.scale(at: site) }
      return Parameter(
        name: spec.key.description, role: spec.role, decays: spec.decays, value: adapter.tensors[spec.key], scale: scale)
    }
    let weights = Dictionary(model.sites.map { ($0.id.path + ".weight", $0) }) { first, _ in first }
    for name in baseNames {
      guard let value = trainedBase[name] else { continue }
      let site = weights[name]
      parameters.append(
        Parameter(
          name: name, role: nil, decays: value.rank > 1, value: value, site: site,
          isTransposed: site.map { model.base($0.id).isTransposed } ?? false))
    }
    guard !parameters.isEmpty else { throw Refusal("nothing is trainable", remedy: "name roles of this method under trainable") }
    self.parameters = parameters
    state = try optimizer.begin(parameters)
    wantsEnergies = optimizer.wantsEnergies
  }

  /// Refuses to train weights of the base that are no numbers.
  static func check(_ subset: TrainableSubset, on model: any Model, at sites: [Site] = []) throws(Refusal) {
    let names = subset.base ? [] : try model.trainedNames(subset, at: sites)
    let coded = model.parameters.filter { $0.isQuantized && (subset.base || names.contains($0.name)) }
    guard let first = coded.first else { return }
    throw Refusal(
      "the base's own weights cannot be trained: \(first.name)\(coded.count > 1 ? " and \(coded.count - 1) others are" : " is") "
        + "quantized", remedy: "train an adapter on it, or the model it was made from")
  }

  public var model: any Model { objective.model }

  /// What the optimizer remembers, in bytes.
  var optimizerBytes: Int {
    state.tensors.values.reduce(0) { $0 + $1.byteCount } + state.bytes.values.reduce(0) { $0 + $1.count }
  }

  /// Numbers that are trained.
  public var trainableCount: Int { parameters.reduce(0) { $0 + $1.value.count } }

  /// Takes one optimizer step over its micro-batches.
  ///
  /// The loss is the mean over all terms of the step, however they are divided into micro-batches.
  public func takeStep() throws(TrainingError) -> StepReport {
    try takeStep(over: Phase.data.spent { batches.microBatches(at: step) })
  }

  func takeStep(over micro: [Batch]) throws(TrainingError) -> StepReport {
    let labels = micro.reduce(0) { $0 + $1.labelCount }
    guard labels > 0 else { throw TrainingError(step: step + 1, message: "nothing of this batch is to be learned") }
    var stored = adapter.tensors
    for key in trainableKeys { stored[key] = stored[key].tracked() }
    let base = trainedBase.mapValues { $0.tracked() }
    var now = Moment(mode: .training, seed: seed, step: step)
    // `prepare` is differentiated once per step: its results are leaves of the passes, which add their gradients up.
    let projection = adapter.parameterization.projection
    let made = Phase.adapter.spent { projection.prepare(stored, now, adapter.frozenBases(now)) }
    let leaves = Tensors(made.values.mapValues { $0.hasHistory ? $0.tracked() : $0 })
    let attachment = Attachment(adapter, prepared: leaves, now)
    let energies = wantsEnergies ? PairEnergies(passes: micro.count, tokens: micro.reduce(0) { $0 + $1.tokenCount }) : nil
    var loss = 0.0
    for (index, batch) in micro.enumerated() {
      now.microBatch = index
      let pass = Pass(now: now, rows: batch.rows, sites: adapter.sites, observer: energies)
      var run = ModelRun(pass: pass, attachment: attachment, trained: base)
      run.activations = activations
      let part = objective.loss(batch, scale: 1 / Double(labels), run)
      loss += part.item
      guard loss.isFinite else { throw TrainingError(step: step + 1, message: "the loss is \(shown(loss)); \(suspicion(batch))") }
      // A method's own terms are means over the pass, which counts by its share of the step's learned tokens.
      let share = Double(batch.labelCount) / Double(labels)
      let objective = pass.penalties.reduce(part) { $0 + $1 * share }
      if objective.hasHistory { objective.backward() }
    }
    if let penalty = projection.penalty(leaves, now) {
      loss += penalty.item
      guard loss.isFinite else {
        throw TrainingError(
          step: step + 1, message: "the method's own term of the loss is \(shown(penalty.item)); \(suspicion())")
      }
      if penalty.hasHistory { penalty.backward() }
    }
    // In the order of names: sums of floats, and with them resumed runs, depend on it.
    let outputs = made.values.sorted { $0.key.description < $1.key.description }
    Tensor.backward(
      outputs.compactMap { key, value in
        guard value.hasHistory, let gradient = leaves[key].gradient else { return nil }
        return (value, gradient)
      })
    let gradients =
      trainableKeys.map { stored[$0].gradient ?? .zeros(stored[$0].shape) }
      + baseNames.map { base[$0]?.gradient ?? .zeros(base[$0]?.shape ?? []) }
    let (norm, factor) = try Phase.optimizer.spent { () throws(TrainingError) in try clip(gradients) }
    let rate = peakRate * schedule.factor(at: step)
    evidenceBytes = energies?.byteCount ?? 0
    Phase.optimizer.spent {
      state.step(parameters, gradients, StepEvidence(learningRate: rate, energies: energies?.energies(scaledBy: factor) ?? [:]))
    }
    step += 1
    return StepReport(
      step: step, loss: loss, learningRate: rate, gradientNorm: norm, tokens: micro.reduce(0) { $0 + $1.tokenCount })
  }

  /// Scales gradients whose joint norm exceeds the limit; names the first that is not finite.
  private func clip(_ gradients: [Tensor]) throws(TrainingError) -> (norm: Double, factor: Double) {
    var total = 0.0
    for (parameter, gradient) in zip(parameters, gradients) {
      let squares = gradient.sumOfSquares
      guard squares.isFinite else {
        throw TrainingError(step: step + 1, message: "the gradient of \(parameter.name) is not finite; \(suspicion())")
      }
      total += squares
    }
    let norm = total.squareRoot()
    guard let clipNorm, norm > clipNorm else { return (norm, 1) }
    let factor = clipNorm / (norm + 1e-6)
    for gradient in gradients { gradient.scaleInPlace(by: factor) }
    return (norm, factor)
  }

  /// Mean loss per learned token of `examples` under the parameters as they are; one that is not finite is an error.
  public func evaluate(_ examples: [Example], tokensPerBatch: Int = Evaluation.standardBatch) throws(TrainingError) -> Evaluation
  {
    let result = Evaluation.of(objective, adapter: adapter, trained: trainedBase, examples, tokensPerBatch: tokensPerBatch)
    guard result.loss.isFinite else {
      throw TrainingError(step: step, message: "the evaluation loss is \(shown(result.loss)); \(suspicion())")
    }
    return result
  }

  /// Puts the trainer where a checkpoint left off. Refuses what does not fit.
  func restore(
    step: Int, parameters saved: [String: Tensor], optimizer: [String: Tensor], bytes: [String: [UInt8]],
    counters: [String: Int]
  ) throws(Refusal) {
    for parameter in parameters {
      guard let value = saved[parameter.name], value.shape == parameter.value.shape else {
        throw Refusal("the checkpoint has no \(parameter.name) of shape \(parameter.value.shape)")
      }
      parameter.value.overwrite(from: 0, with: value.converted(to: parameter.value.scalar))
    }
    try state.restore(optimizer, bytes, counters)
    self.step = step
  }
}
