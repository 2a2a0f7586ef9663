import ArgumentParser
import Files
import JSON
import Models
import Training

struct BenchCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "What a run's training step, or generation, costs on this machine.",
    discussion: """
      Takes the run's first steps in memory and says how fast they are, what of the machine's own speed at matrix products that \
      is, what the time is spent on and what is held. Of a model's folder, or with --generate, greedy generation is measured, \
      with the run's adapter as it starts. Nothing is written but what --save names.
      """)

  @Argument(help: ArgumentHelp("A run file, or a model's folder.", valueName: "run.yaml"))
  var path: String

  @Flag(help: "Measure generation with the run's model.")
  var generate = false

  @Option(help: "Steps, or generations, to time; default: 10 steps, 3 generations.")
  var steps: Int?

  @Option(help: "Steps before the clock starts.")
  var warmUp = 3

  @Option(help: "Random tokens to continue.")
  var promptTokens = 64

  @Option(help: "Tokens to generate.")
  var newTokens = 128

  @Option(help: ArgumentHelp("Keep the result as JSON.", valueName: "file.json"))
  var save: String?

  @Option(help: ArgumentHelp("Compare with a result that was kept.", valueName: "file.json"))
  var compare: String?

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let steps, steps < 1 { throw ValidationError("--steps must be at least 1") }
    if warmUp < 0 { throw ValidationError("--warm-up must not be negative") }
    if promptTokens < 1 { throw ValidationError("--prompt-tokens must be at least 1") }
    if newTokens < 2 { throw ValidationError("--new-tokens must be at least 2") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let isModel = Folder.isFolder(path)
    let kind = generate || isModel ? BenchRecord.Kind.generation : .step
    // What cannot be read or written is told before minutes are spent.
    let other = try compare.map { (path) throws(FileError) in try BenchRecord.read(path, kind) }
    try refuseInputs()
    let target = try save.map { (path) throws(FileError) in try WholeFile(path) }
    let report: BenchReport
    if isModel {
      let clock = ContinuousClock()
      let start = clock.now
      let model = try ModelLoader.load(path)
      report = try generation(model, nil, loadSeconds: (clock.now - start) / .seconds(1), call)
    } else {
      let session = try RunSession.open(path, call)
      for note in session.notes { call.console.note("note: \(note)") }
      switch kind {
      case .generation:
        guard let language = session.language else {
          throw Failure(.usage, "--generate is for language models, and the run's task is \(session.file.task.rawValue)")
        }
        report = try generation(language, session, loadSeconds: nil, call)
      default: report = try step(session, call)
      }
    }
    if let target {
      try target.write(report.record.json.text(indented: true) + "\n")
      try target.commit()
    }
    let comparison = other.map { BenchComparison(report.record, with: $0, of: compare ?? "") }
    if json {
      guard case .object(var members) = report.record.json else { return .ok }
      if let comparison { members.append(.init("compared", comparison.json)) }
      call.console.print(JSON.object(members).text(indented: true))
    } else {
      for line in report.lines + (comparison?.lines ?? []) { call.console.print(line) }
    }
    return .ok
  }

  private func step(_ session: RunSession, _ call: Invocation) throws -> BenchReport {
    let bench = StepBench(warmUp: warmUp, steps: steps ?? 10)
    defer { call.console.draw("") }
    let measured = try bench.measure(session) { progress($0, bench.warmUp + bench.steps, "steps", call) }
    return BenchReport(measured, of: session, warmUp: warmUp)
  }

  private func generation(
    _ model: any LanguageModel, _ session: RunSession?, loadSeconds: Double?, _ call: Invocation
  ) throws -> BenchReport {
    let bench = GenerationBench(promptTokens: promptTokens, newTokens: newTokens, times: steps ?? 3)
    let adapter = try session?.startedAdapter()
    defer { call.console.draw("") }
    var measured = try bench.measure(model, adapter: adapter) { progress($0, bench.times + 1, "generations", call) }
    measured.loadSeconds = loadSeconds
    return BenchReport(measured, of: model, session, promptTokens: promptTokens)
  }

  private func progress(_ done: Int, _ all: Int, _ label: String, _ call: Invocation) {
    guard call.console.isTerminal else { return }
    let bar = ProgressBar(label: label, step: done, steps: all)
    call.console.draw(bar.text(width: call.console.width, isUnicode: ProgressBar.isUnicode))
  }

  /// A result must not replace the run file.
  private func refuseInputs() throws(FileError) {
    guard let save, let target = Folder.real(save), target == Folder.real(path) else { return }
    throw FileError(.cannotCreate, save, "is the run file and is not replaced", remedy: "save to another file")
  }
}
