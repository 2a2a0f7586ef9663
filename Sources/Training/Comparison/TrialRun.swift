import Engine
import Files
import JSON
import Models
import PEFTKernel

/// Runs one trial: start, steps, evaluations, measurements. What stops it between two steps leaves a checkpoint to go on from.
struct TrialRun {
  let session: RunSession
  let trial: Trial
  let data: ComparisonData
  let evalEvery: Int
  let machine: String
  /// Where a trial that is stopped is kept.
  let folder: String
  let digest: String

  /// Nil where the task was cancelled: the trial goes on from there the next time.
  func run(_ progress: (ComparisonEvent) -> Void) throws -> TrialResult? {
    var state = try Progress(in: folder, digest) ?? Progress()
    let clock = ContinuousClock()
    let began = clock.now
    MemoryUsage.resetPeak()
    let trainer = try trainer(&state)
    if state.step == 0 {
      state.startSeconds = (clock.now - began) / .seconds(1)
      state.peakBytes = MemoryUsage.current.peak
    }
    progress(.begun(trial, step: state.step, of: session.steps))
    var result = TrialResult(trial: trial, trainable: trainer.trainableCount, machine: machine)
    do {
      guard try steps(trainer, &state, progress) else {
        state.seconds += (clock.now - began) / .seconds(1)
        try keep(trainer, state)
        return nil
      }
      let heldOut = try trainer.evaluate(data.heldOut)
      (result.heldOut, result.figures) = (heldOut.loss, TrialResult.figures(of: heldOut))
      result.ownText = data.ownText.isEmpty ? nil : try trainer.evaluate(data.ownText).loss
      result.adapterBytes = try adapterBytes(trainer)
    } catch let error as TrainingError {
      (result.heldOut, result.ownText, result.figures) = (nil, nil, [])
      result.divergence = .init(step: error.step, reason: error.message)
    }
    result.curve = state.curve
    result.peakBytes = state.peakBytes
    result.stepSeconds = Statistics.median(state.stepSeconds) ?? 0
    result.startSeconds = state.startSeconds
    result.seconds = state.seconds + (clock.now - began) / .seconds(1)
    return result
  }

  private func trainer(_ state: inout Progress) throws -> Trainer {
    if state.step > 0, let checkpoint = try Checkpoint.newest(in: folder) {
      let trainer = try session.trainer(for: Checkpoint.adapter(from: checkpoint, session))
      try trainer.restore(from: checkpoint)
      if trainer.step == state.step { return trainer }
    }
    // A crash between two files leaves them at odds: the trial is short enough to be begun anew.
    state = Progress()
    return try session.trainer(for: session.startedAdapter())
  }

  /// Whether it came to the last step.
  private func steps(_ trainer: Trainer, _ state: inout Progress, _ progress: (ComparisonEvent) -> Void) throws -> Bool {
    func evaluate(_ state: inout Progress) throws {
      let loss = try trainer.evaluate(data.validation).loss
      state.curve.append(.init(step: trainer.step, loss: loss))
      progress(.evaluated(trial, step: trainer.step, loss: loss))
    }
    if trainer.step == 0 { try evaluate(&state) }
    let clock = ContinuousClock()
    while trainer.step < session.steps {
      if Task.isCancelled { return false }
      MemoryUsage.resetPeak()
      let start = clock.now
      let report = try trainer.takeStep()
      let seconds = (clock.now - start) / .seconds(1)
      state.peakBytes = max(state.peakBytes, MemoryUsage.current.peak)
      state.stepSeconds.append(seconds)
      state.step = trainer.step
      progress(.step(trial, report, seconds: seconds))
      if trainer.step % evalEvery == 0 || trainer.step == session.steps { try evaluate(&state) }
    }
    return true
  }

  private func keep(_ trainer: Trainer, _ state: Progress) throws {
    guard trainer.step > 0 else { return }
    try Checkpoint.write(trainer, to: folder, keeping: 1)
    try state.write(to: folder, digest)
  }

  /// Written to be measured, and removed.
  private func adapterBytes(_ trainer: Trainer) throws -> Int {
    var bytes = trainer.trainedBase.values.reduce(0) { $0 + 4 * $1.count }
    guard !trainer.adapter.layout.isEmpty else { return bytes }
    let path = Folder.join(folder, "adapter")
    try session.write(trainer.adapter, to: path)
    bytes += try MappedFile(Folder.join(path, "adapter_model.safetensors")).bytes.count
    try Folder.remove(path)
    return bytes
  }
}

/// How far a trial had come when it was stopped, beside its checkpoint.
private struct Progress {
  var step = 0
  var curve: [TrialResult.Point] = []
  var stepSeconds: [Double] = []
  var peakBytes = 0
  var startSeconds = 0.0
  var seconds = 0.0

  private static let name = "progress.json"

  init() {}

  /// Nil where there is none, or one of something else.
  init?(in folder: String, _ digest: String) throws(FileError) {
    let path = Folder.join(folder, Self.name)
    guard Folder.isFile(path) else { return nil }
    let json = try TextFile.readJSON(path)
    guard json["digest"]?.string == digest, let step = json["step"]?.int, let points = json["curve"]?.array,
      let times = json["step_seconds"]?.array, let peak = json["peak_bytes"]?.int, let start = json["start_seconds"]?.double,
      let seconds = json["seconds"]?.double
    else { return nil }
    self.step = step
    curve = points.compactMap { point in
      guard let step = point["step"]?.int, let loss = point["loss"]?.double else { return nil }
      return .init(step: step, loss: loss)
    }
    stepSeconds = times.compactMap(\.double)
    (peakBytes, startSeconds, self.seconds) = (peak, start, seconds)
  }

  func write(to folder: String, _ digest: String) throws(FileError) {
    let json: JSON = [
      "digest": .string(digest), "step": .int(step),
      "curve": .array(curve.map { ["step": .int($0.step), "loss": .double($0.loss)] }),
      "step_seconds": .array(stepSeconds.map { .double($0) }), "peak_bytes": .int(peakBytes),
      "start_seconds": .double(startSeconds), "seconds": .double(seconds),
    ]
    try WholeFile.write(json.text() + "\n", to: Folder.join(folder, Self.name))
  }
}
