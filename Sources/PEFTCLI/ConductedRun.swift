import ArgumentParser
import Files
import Training

/// How a run is shown.
struct RunOutputOptions: ParsableArguments {
  @Flag(help: "Print what happens as JSON, one object a line, on standard output.")
  var json = false

  @Flag(name: .shortAndLong, help: "Print errors only.")
  var quiet = false

  func style(_ console: Console) -> TrainingReporter.Style {
    if json { return .json }
    if quiet { return .silent }
    return console.isTerminal ? .bar : .lines
  }
}

/// A training run as a command conducts it: progress, signals, and what is said at the end.
struct ConductedRun {
  let session: RunSession
  let run: TrainingRun
  let call: Invocation
  let output: RunOutputOptions

  func perform() async throws -> ExitStatus {
    let console = call.console
    let stop = StopSignals()
    defer { stop.end() }
    if !output.quiet { for note in session.notes { console.note("note: \(note)") } }
    call.log.debug("\(session.training.count) training examples, \(session.validation.count) for evaluation")
    // Before the texts: they take a while.
    try await run.claim()
    let samples = try SampleTexts(session)
    let before = output.quiet ? [] : try samples?.texts(adapter: session.given?.adapter, trained: [:]) ?? []
    let reporter = TrainingReporter(console, output.style(console))
    let task = Task { try await run.run { reporter.take($0) } }
    stop.handle {
      console.note("\(Invocation.programName): stopping after this step; once more to stop at once")
      task.cancel()
    }
    let outcome: TrainingOutcome
    do {
      outcome = try await task.value
      reporter.end()
    } catch {
      reporter.end()
      throw error
    }
    let summary = TrainingSummary(
      session: session, outcome: outcome, before: outcome.before ?? recordedStart, totals: reporter.totals)
    guard outcome.end == .finished else {
      if output.json { console.print(summary.json(samples: []).text()) }
      console.note("\(Invocation.programName): stopped after step \(outcome.steps) of \(session.steps); everything is saved")
      console.note("go on with: \(Invocation.command) resume \(shellQuoted(Format.path(session.file.outputDir)))")
      return .stopped
    }
    let after = output.quiet ? [] : try samples?.texts(adapter: outcome.adapter, trained: outcome.trainedBase) ?? []
    let pairs = zip(session.file.samples?.prompts ?? [], zip(before, after)).map { ($0, $1.0, $1.1) }
    if output.json { console.print(summary.json(samples: pairs).text()) }
    if !output.json, !output.quiet { for line in summary.lines(samples: pairs) { console.print(line) } }
    return .ok
  }

  /// The evaluation at step 0, as a resumed run finds it in its log.
  private var recordedStart: Evaluation? {
    let path = Folder.join(session.file.outputDir, "metrics.jsonl")
    return MetricsFile.evaluations(path).first { $0.step == 0 }?.evaluation
  }
}
