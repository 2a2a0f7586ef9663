import AdapterFiles
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry

/// What happens in a run, as it happens.
public enum TrainingEvent: Sendable {
  /// What the user should know about how the adapter started.
  case note(String)
  /// The adapter has started: sites, trainable numbers, numbers of the model.
  case started(sites: Int, trainable: Int, total: Int, steps: Int, resumedAt: Int)
  case step(StepReport, seconds: Double)
  case evaluated(step: Int, Evaluation)
  case saved(step: Int, path: String)
}

/// How a run ended.
public struct TrainingOutcome: Sendable {
  public enum End: Sendable {
    case finished
    /// Stopped between steps, with everything saved to go on from.
    case stopped
  }
  public var end: End
  public var steps: Int
  public var before: Evaluation?
  public var after: Evaluation?
  public var trainable: Int
  public var total: Int
  public var adapterPath: String?
  public var modelPath: String?
  /// The adapter as trained; for a run that trains the base, `trainedBase` holds its tensors.
  public var adapter: Adapter
  public var trainedBase: [String: Tensor]
}

/// A whole run: start, steps, evaluations, checkpoints, results. An actor, so that training stays off the caller's own.
///
/// Cancelling the task that runs it finishes the step at hand, saves, and ends with `.stopped`.
public actor TrainingRun {
  private let session: RunSession
  private let resumes: Bool

  /// `resumes` goes on from the newest checkpoint of the run's folder.
  public init(_ session: RunSession, resumes: Bool = false) {
    self.session = session
    self.resumes = resumes
  }

  public func run(_ progress: @Sendable (TrainingEvent) -> Void = { _ in }) throws -> TrainingOutcome {
    let file = session.file
    let output = file.outputDir
    let checkpoint = resumes ? try Checkpoint.newest(in: output) : nil
    if resumes, checkpoint == nil {
      throw FileError(.missing, output, "has no checkpoint to resume from", remedy: "start it with `peft train`")
    }
    let trainer = try trainer(from: checkpoint, progress)
    try Folder.create(output)
    try WholeFile.write(file.resolvedText, to: Folder.join(output, "run.yaml"))
    let log = try MetricsLog(Folder.join(output, "metrics.jsonl"), keepingUpTo: trainer.step)
    let total = session.model.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    progress(
      .started(
        sites: session.sites.count, trainable: trainer.trainableCount, total: total, steps: session.steps,
        resumedAt: trainer.step))
    var before: Evaluation?
    func evaluate() throws -> Evaluation? {
      guard !session.validation.isEmpty else { return nil }
      let result = trainer.evaluate(session.validation)
      try log.append(["step": .int(trainer.step), "eval_loss": .double(result.loss), "eval_tokens": .int(result.tokens)])
      progress(.evaluated(step: trainer.step, result))
      return result
    }
    if trainer.step == 0 { before = try evaluate() }
    var after = before
    var end = TrainingOutcome.End.finished
    var savedAt = trainer.step
    func save() throws {
      try Checkpoint.write(trainer, to: output)
      savedAt = trainer.step
      progress(.saved(step: trainer.step, path: Folder.join(output, Checkpoint.folderName)))
    }
    while trainer.step < session.steps {
      if Task.isCancelled {
        end = .stopped
        break
      }
      let clock = ContinuousClock()
      let start = clock.now
      let report = try trainer.takeStep()
      let seconds = (clock.now - start) / .seconds(1)
      try log.append([
        "step": .int(report.step), "loss": .double(report.loss), "lr": .double(report.learningRate),
        "grad_norm": .double(report.gradientNorm), "seconds": .double(seconds),
        "tokens_per_second": .double(Double(report.tokens) / seconds),
      ])
      progress(.step(report, seconds: seconds))
      let isLast = trainer.step == session.steps
      if isLast || file.evalEvery.map({ trainer.step % $0 == 0 }) == true { after = try evaluate() }
      if !isLast, file.saveEvery.map({ trainer.step % $0 == 0 }) == true { try save() }
    }
    if end == .stopped || savedAt != trainer.step { try save() }
    var outcome = TrainingOutcome(
      end: end, steps: trainer.step, before: before, after: after, trainable: trainer.trainableCount, total: total,
      adapterPath: nil, modelPath: nil, adapter: trainer.adapter, trainedBase: trainer.trainedBase)
    guard end == .finished else { return outcome }
    // Activations are over; what they took is free for the making of files.
    MemoryUsage.trim()
    if !trainer.adapter.layout.isEmpty {
      let path = Folder.join(output, "adapter")
      try session.write(trainer.adapter, to: path)
      outcome.adapterPath = path
    }
    if !trainer.trainedBase.isEmpty {
      let path = Folder.join(output, "model")
      try ModelWriter.write(session.model, replacing: trainer.trainedBase, existing: .replace, to: path)
      outcome.modelPath = path
    }
    return outcome
  }

  /// At the first step, or where a checkpoint left off. The adapter it starts with is gone when this returns: the trainer
  /// has its own.
  private func trainer(from checkpoint: String?, _ progress: @Sendable (TrainingEvent) -> Void) throws -> Trainer {
    guard let checkpoint else {
      return try session.trainer(for: session.startedAdapter { progress(.note($0)) })
    }
    let trainer = try session.trainer(for: Checkpoint.adapter(from: checkpoint, session))
    try trainer.restore(from: checkpoint)
    return trainer
  }
}
