import AdapterFiles
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry

/// What happens in a run, as it happens.
public enum TrainingEvent: Sendable {
  /// A start that wants gradients has looked at a batch.
  case gradients(batch: Int, of: Int)
  /// The adapter has started: sites, trainable numbers, numbers of model and adapter together.
  case started(sites: Int, trainable: Int, total: Int, steps: Int, resumedAt: Int)
  /// What the user should know about the adapter's start.
  case note(String)
  case step(StepReport, seconds: Double)
  case evaluated(step: Int, Evaluation)
  /// The test examples, at the end.
  case tested(Evaluation)
  /// A checkpoint stands at `path`.
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
  /// Of the test examples, where the run has some and finished.
  public var test: Evaluation?
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
/// Cancelling the task that runs it finishes the step at hand, saves, and ends with `.stopped`. While the adapter is still being
/// started there is nothing to save, and it ends with a `CancellationError`.
public actor TrainingRun {
  private let session: RunSession
  private let resumes: Bool
  private let overwrites: Bool
  private var lock: FolderLock?

  /// `resumes` goes on from the newest checkpoint of the run's folder; `overwrites` lets a new run replace one that is there.
  public init(_ session: RunSession, resumes: Bool = false, overwrites: Bool = false) {
    self.session = session
    self.resumes = resumes
    self.overwrites = overwrites
  }

  /// Takes the run's folder for this run alone, until the run ends. `run` does so by itself; whoever has something to do before it
  /// can do it here.
  ///
  /// Refuses a folder where another run is at work and, with an ``OccupiedFolder``, one that holds what would be lost.
  public func claim() throws {
    guard lock == nil else { return }
    // What could not be written at the end is told before the first step.
    if session.entry.hasAdapter { try session.checkTarget(adapterPath) }
    if writesModel { try ModelWriter.check(modelPath, model: session.model, existing: .replace) }
    let lock = try told { () throws(FileError) in try FolderLock(session.file.outputDir) }
    if !resumes { try OccupiedFolder.checkInputs(of: session) }
    if !resumes, !overwrites { try OccupiedFolder.check(for: session) }
    self.lock = lock
  }

  /// What is trained of the base by itself has no adapter to lie beside.
  private var writesModel: Bool { session.entry.trainable.base || !session.entry.hasAdapter }

  private var adapterPath: String { Folder.join(session.file.outputDir, "adapter") }
  private var modelPath: String { Folder.join(session.file.outputDir, "model") }

  /// What is said where nothing can be learned from where the run starts.
  public static let noGradient =
    "every gradient of the first step is exactly zero: as it starts, what is trained does not reach the loss; train other roles too, "
    + "or choose another init"

  /// A folder that cannot be written to is a fault of the key that names it.
  private func told<Value>(_ body: () throws(FileError) -> Value) throws -> Value {
    do throws(FileError) { return try body() } catch {
      guard error.kind == .cannotCreate, !resumes else { throw error }
      throw session.file.fault(error, at: "output_dir")
    }
  }

  public func run(_ progress: @Sendable (TrainingEvent) -> Void = { _ in }) throws -> TrainingOutcome {
    try claim()
    defer { lock = nil }
    let file = session.file
    let output = file.outputDir
    let checkpoint = resumes ? try Checkpoint.newest(in: output) : nil
    if resumes, checkpoint == nil {
      throw FileError(.missing, output, "has no checkpoint to resume from", remedy: "start it with `peft train`")
    }
    let trainer = try trainer(from: checkpoint, progress)
    let log = try told { () throws(FileError) in
      // What an earlier run saved here must not be taken for this one's.
      if checkpoint == nil { try Checkpoint.removeAll(in: output) }
      try WholeFile.write(file.resolvedText, to: Folder.join(output, RunSession.fileName))
      return try MetricsLog(Folder.join(output, "metrics.jsonl"), keepingUpTo: trainer.step)
    }
    let total =
      session.model.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) } + trainer.adapter.trainable.reduce(0) { $0 + $1.count }
    progress(
      .started(
        sites: session.sites.count, trainable: trainer.trainableCount, total: total, steps: session.steps,
        resumedAt: trainer.step))
    for note in trainer.adapter.notes { progress(.note(note)) }
    var before: Evaluation?
    func evaluate() throws -> Evaluation? {
      guard !session.validation.isEmpty else { return nil }
      let result = try trainer.evaluate(session.validation)
      try log.append(result.record(of: trainer.step, "eval"))
      progress(.evaluated(step: trainer.step, result))
      return result
    }
    if trainer.step == 0 { before = try evaluate() }
    var after = before
    // A run whose steps are all done has that evaluation in its log.
    if resumes, trainer.step == session.steps, !session.validation.isEmpty { after = try trainer.evaluate(session.validation) }
    var end = TrainingOutcome.End.finished
    var savedAt = trainer.step
    func save() throws {
      try trainer.checkFinite()
      let path = try Checkpoint.write(trainer, to: output)
      savedAt = trainer.step
      progress(.saved(step: trainer.step, path: path))
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
      if report.step == 1, report.gradientNorm == 0 { progress(.note(Self.noGradient)) }
      let isLast = trainer.step == session.steps
      if isLast || file.evalEvery.map({ trainer.step % $0 == 0 }) == true { after = try evaluate() }
      if !isLast, file.saveEvery.map({ trainer.step % $0 == 0 }) == true { try save() }
    }
    if end == .stopped || savedAt != trainer.step { try save() }
    var outcome = TrainingOutcome(
      end: end, steps: trainer.step, before: before, after: after, trainable: trainer.trainableCount, total: total,
      adapterPath: nil, modelPath: nil, adapter: trainer.adapter, trainedBase: trainer.trainedBase)
    guard end == .finished else { return outcome }
    if !session.test.isEmpty {
      let result = try trainer.evaluate(session.test)
      outcome.test = result
      try log.append(result.record(of: trainer.step, "test"))
      progress(.tested(result))
    }
    // Activations are over; what they took is free for the making of files.
    MemoryUsage.trim()
    if writesModel {
      // As trained: in the 16 bits that the base may have, small steps would be lost.
      try ModelWriter.write(session.model, replacing: trainer.trainedBase, dtype: .f32, existing: .replace, to: modelPath)
      outcome.modelPath = modelPath
    }
    if !trainer.adapter.layout.isEmpty {
      // The adapter was trained on the base as it became, and on no other.
      try session.write(trainer.adapter, on: outcome.modelPath, to: adapterPath)
      outcome.adapterPath = adapterPath
    }
    // Whoever stopped the run behind its last step is told so, although nothing is left to do.
    if Task.isCancelled { outcome.end = .stopped }
    return outcome
  }

  /// At the first step, or where a checkpoint left off. The adapter it starts with is gone when this returns: the trainer
  /// has its own.
  private func trainer(from checkpoint: String?, _ progress: @Sendable (TrainingEvent) -> Void) throws -> Trainer {
    guard let checkpoint else {
      return try session.trainer(for: session.startedAdapter { progress(.gradients(batch: $0, of: $1)) })
    }
    let trainer = try session.trainer(for: Checkpoint.adapter(from: checkpoint, session))
    try trainer.restore(from: checkpoint)
    return trainer
  }
}

extension Evaluation {
  /// A line of the log. What a perplexity would say, the loss says.
  fileprivate func record(of step: Int, _ part: String) -> JSON {
    var members: [JSON.Member] = [
      .init("step", .int(step)), .init("\(part)_loss", .double(loss)), .init("\(part)_\(unit)", .int(tokens)),
    ]
    for figure in figures where figure.key != "perplexity" {
      members.append(.init("\(part)_\(figure.key)", .double(figure.value)))
    }
    return .object(members)
  }
}
