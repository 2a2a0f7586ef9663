import Engine
import Models
import PEFTKernel

/// Gathers what an init strategy wants to see, starts the adapter with it, and lets it go.
///
/// Gradients and Gram matrices of all adapted weights are held while they add up over the batches; each is freed once its site
/// started.
public struct EvidenceStage: Sendable {
  let parameterization: any Parameterization
  let sites: [Site]
  let objective: any Objective
  let seed: UInt64
  /// The model as it was before quantization: itself, where it is not quantized.
  var origin: any Objective
  /// The learning rate of the run's first step.
  var firstRate: Double?
  /// Of the passes that gradients come from.
  var activations: Activations
  var gradients: Look?
  /// Whether of gradients the magnitudes are averaged.
  let magnitudes: Bool
  var inputs: Look?

  /// Batches to look at, each with its weight in the mean.
  struct Look: Sendable {
    var plan: BatchPlan
    var batches: Int
    /// Rows that count, where each counts the same; nil where each batch does.
    var samples: Int?

    init(_ amount: Evidence.Amount, of examples: [Example], seed: UInt64) {
      plan = BatchPlan(examples, batchSize: amount.batchSize, seed: seed)
      let wanted: Int
      switch amount.count {
      case .batches(let count):
        (batches, samples) = (count, nil)
        return
      case .samples(let count): wanted = count
      case .share(let share): wanted = Int((share * Double(examples.count)).rounded(.up))
      }
      let some = max(1, min(wanted, examples.count))
      samples = some
      batches = (some + amount.batchSize - 1) / amount.batchSize
    }

    private var batchSize: Int { plan.batchSize }

    /// Every batch with its weight; the last one may be cut to the samples that are left.
    func batch(_ index: Int) -> (batch: Batch, weight: Double)? {
      guard var batch = plan.microBatches(at: index).first else { return nil }
      guard let samples else { return batch.labelCount > 0 ? (batch, 1 / Double(batches)) : nil }
      let rows = min(plan.rows(at: index), samples - index * batchSize)
      if rows < plan.rows(at: index) { batch = plan.batch(at: index, rows: rows) }
      return batch.labelCount > 0 ? (batch, Double(rows) / Double(samples)) : nil
    }
  }

  /// `examples` are the training examples, needed only where some are to be looked at.
  public init(
    _ parameterization: any Parameterization, sites: [Site], for objective: any Objective, examples: [Example], seed: UInt64,
    origin: (any Objective)? = nil, firstRate: Double? = nil, activations: Activations = .kept
  ) {
    self.parameterization = parameterization
    self.sites = sites
    self.objective = objective
    self.seed = seed
    self.origin = origin ?? objective
    self.firstRate = firstRate
    self.activations = activations
    let wants = parameterization.initialization.wants
    let order = Philox(key: seed).stream("evidence").key
    gradients = wants.gradients.map { Look($0, of: examples, seed: order) }
    magnitudes = wants.magnitudes
    inputs = wants.inputs.map { Look($0, of: examples, seed: order) }
  }

  /// The adapter at step 0.
  ///
  /// `seen` is told of every batch that was looked at, with the count of all. Cancelling the task ends it between two batches, with a
  /// `CancellationError`.
  public func start(seen: (_ batch: Int, _ batches: Int) -> Void = { _, _ in }) throws -> Adapter {
    let layout = try Adapter.layout(parameterization, over: sites)
    let now = Moment(mode: .training, seed: seed)
    let model = objective.model
    let bases = Bases { model.base($0) }
    let total = (gradients?.batches ?? 0) + (inputs?.batches ?? 0)
    var done = 0
    func step() {
      done += 1
      seen(done, total)
    }
    var evidence = Evidence { bases[$0].weight(as: .float32) }
    evidence.firstRate = firstRate
    if let inputs { evidence.grams = try grams(inputs, step) }
    if let gradients { evidence.gradients = try meanGradients(gradients, step) }
    if parameterization.initialization.wants.original {
      evidence.original = { [model = origin.model] in model.base($0).weight(as: .float32) }
    }
    let start = try parameterization.start(layout, sites, on: bases, &evidence, now)
    var adapter = try Adapter(
      parameterization, sites: sites, layout: layout, tensors: start.tensors, offset: start.offset, on: bases)
    adapter.notes = start.notes
    adapter.trained = model.standing(try model.trainedNames(parameterization.trainable, at: sites))
    return adapter
  }

  /// Mean over what is looked at of ∂(mean loss of the batch)/∂W at every site, or of its magnitude, on the untouched base.
  private func meanGradients(_ look: Look, _ step: () -> Void) throws -> [SiteID: Tensor] {
    try requireExamples(look, "gradients of the training loss")
    func zeros() -> [SiteID: Tensor] {
      Dictionary(uniqueKeysWithValues: sites.map { ($0.id, Tensor.zeros([$0.outputs, $0.inputs])) })
    }
    let sums = zeros()
    // A pass may show a site in pieces, and a magnitude is that of their sum.
    let whole = magnitudes ? zeros() : sums
    for index in 0..<look.batches {
      try Task.checkCancellation()
      if let (batch, weight) = look.batch(index) {
        var run = ModelRun(pass: pass(batch, index)) { id, x, dy in
          whole[id]?.accumulateProduct(transposed: dy, x, scale: weight)
        }
        run.activations = activations
        objective.loss(batch, scale: 1 / Double(batch.labelCount), run).backward()
        if magnitudes { for (id, gradient) in whole { sums[id]?.takeMagnitudes(of: gradient) } }
      }
      step()
    }
    return sums
  }

  /// Σ xᵀ·x of every site's inputs, in double; sites that read one input share one.
  private func grams(_ look: Look, _ step: () -> Void) throws -> [SiteID: Tensor] {
    try requireExamples(look, "activations on training data")
    let grams = GramSums(of: sites)
    for index in 0..<look.batches {
      try Task.checkCancellation()
      if let (batch, _) = look.batch(index) {
        var run = ModelRun(pass: pass(batch, index, mode: .evaluation))
        run.observeInput = { grams.add($1, at: $0) }
        origin.forward(batch, run)
      }
      step()
    }
    return grams.sums
  }

  private func requireExamples(_ look: Look, _ what: String) throws(Refusal) {
    guard look.plan.examples.isEmpty else { return }
    throw Refusal("this start needs \(what), but there is no training data")
  }

  /// Dropout is as in training; step −1 keeps these draws apart from those of the steps to come.
  private func pass(_ batch: Batch, _ index: Int, mode: Mode = .training) -> Pass {
    Pass(now: Moment(mode: mode, seed: seed, step: -1, microBatch: index), rows: batch.rows, sites: sites)
  }
}

extension EvidenceStage {
  /// The same with one batch to look at, the largest: its memory is that of all.
  var probe: EvidenceStage {
    func one(_ look: Look) -> Look {
      var look = look
      let largest = look.plan.extent(steps: look.batches).largest
      look.plan = BatchPlan(largest, batchSize: max(1, largest.count), shuffles: false)
      (look.batches, look.samples) = (1, nil)
      return look
    }
    var stage = self
    stage.gradients = gradients.map(one)
    stage.inputs = inputs.map(one)
    return stage
  }

  /// Bytes of the evidence when it is complete.
  var bytes: Int {
    let weights = sites.reduce(0) { $0 + $1.outputs * $1.inputs * 4 }
    let grams = sites.reduce(0) { $0 + $1.inputs * $1.inputs * 8 }
    return (gradients == nil ? 0 : magnitudes ? 2 * weights : weights) + (inputs == nil ? 0 : grams)
  }
}

extension Tensor {
  /// Adds |gradient|, and leaves 0 of it.
  fileprivate func takeMagnitudes(of gradient: Tensor) {
    accumulate(gradient.relu)
    gradient.scaleInPlace(by: -1)
    accumulate(gradient.relu)
    gradient.scaleInPlace(by: 0)
  }
}
