import ArgumentParser
import Engine
import Files
import JSON
import Models
import Registry
import Training

struct CompareCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Compare methods on what a run file says.",
    discussion: """
      Every method is tried with every learning rate of one grid and keeps the one that is best on the validation part; then it \
      is run with all seeds and reported on a held-out part. Data, their order and the number of steps are the same for all.

      A method is an entry's name, `name@optimizer`, `name:option=value:option=value`, or the path of a YAML file with an \
      entry or with the keys `method`, `target_modules`, `optimizer` of a run file. The run file's own method keeps the \
      options that it has there.

      Into the output folder go comparison.html, .csv and .json. SIGINT or SIGTERM lets the step at hand finish and ends with \
      code 75; the same command goes on from there. With more methods, rates or seeds it makes use of what is done.
      """)

  @Argument(help: ArgumentHelp("The run file.", valueName: "run.yaml"))
  var runFile: String

  @Option(help: ArgumentHelp("The methods, with commas between them.", valueName: "a,b,…"))
  var methods: [String]

  @Option(help: ArgumentHelp("Run every method that names no optimizer under each of these.", valueName: "x,y,…"))
  var optimizers: String?

  @Option(
    help: ArgumentHelp(
      "The grid of learning rates, the same for all; default: the run file's, and half a decade and a decade to either side.",
      valueName: "1e-4,3e-4,…"))
  var rates: String?

  @Option(help: "Runs at the chosen rate. The run file's seed is the first.")
  var seeds = 3

  @Option(help: "How many of the seeds take part in the choice of the rate.")
  var selectionSeeds = 1

  @Option(help: "Steps between evaluations on the validation part; default: the run file's, or 4 to 20 evaluations in all.")
  var evalEvery: Int?

  @Option(
    help: ArgumentHelp("Examples to report on; default: every second row of data.valid, the others choose.", valueName: "file"))
  var heldOut: String?

  @Option(
    help: ArgumentHelp(
      "Text that the base was made of, to see what is forgotten; default: the model's own_text.jsonl, where it has one.",
      valueName: "file"))
  var ownText: String?

  @Option(help: "Which of the methods the others are compared with; default: lora, or the first.")
  var baseline: String?

  @Option(help: ArgumentHelp("The folder of results.", valueName: "folder"))
  var output: String

  @Flag(help: "Begin anew although the output folder holds a comparison; what it holds is replaced.")
  var overwrite = false

  @Flag(help: "Print every trial and the comparison as JSON, one object a line, on standard output.")
  var json = false

  @Flag(name: .shortAndLong, help: "Print the table and errors only.")
  var quiet = false

  @Option(help: ArgumentHelp("A folder of method entries of your own; may be repeated.", valueName: "folder"))
  var entries: [String] = []

  @Flag(name: .shortAndLong, help: "Say on standard error what is being done.")
  var verbose = false

  /// As other commands have them; here `--methods` names methods.
  var common: CommonOptions {
    var common = CommonOptions()
    (common.folders, common.verbose) = (entries, verbose)
    return common
  }

  func validate() throws {
    if seeds < 1 { throw ValidationError("--seeds must be at least 1") }
    if !(1...seeds).contains(selectionSeeds) { throw ValidationError("--selection-seeds must be from 1 to --seeds (\(seeds))") }
    if let evalEvery, evalEvery < 1 { throw ValidationError("--eval-every must be at least 1") }
    _ = try grid()
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let console = call.console
    let settings = Comparison.Settings(
      rates: try grid(), seeds: seeds, selectionSeeds: selectionSeeds, evalEvery: evalEvery, heldOut: heldOut,
      ownText: ownText, baseline: baseline, output: output, program: "peft \(Version.text)", machine: Machine.text)
    let comparison = try Comparison(
      runFile, variants: try variants(), settings: settings, registry: try call.registry(), sites: RunSession.sites)
    if !quiet { for note in comparison.notes { console.note("note: \(note)") } }
    let reporter = ComparisonReporter(comparison, console, json ? .json : quiet ? .silent : console.isTerminal ? .table : .lines)
    let stop = StopSignals()
    defer { stop.end() }
    let run = ComparisonRun(comparison, overwrites: overwrite)
    let task = Task { try await run.run { reporter.take($0) } }
    stop.handle {
      console.note("\(Invocation.programName): stopping after this step; once more to stop at once")
      task.cancel()
    }
    let outcome: ComparisonOutcome
    do {
      outcome = try await task.value
      reporter.end()
    } catch {
      reporter.end()
      throw error
    }
    let command = ([Invocation.command] + call.arguments.map(shellQuoted)).joined(separator: " ")
    switch outcome {
    case .stopped(let done, let count):
      console.note("\(Invocation.programName): stopped with \(done) of \(count) trials done; everything is saved")
      let same = ([Invocation.command] + call.arguments.filter { $0 != "--overwrite" }.map(shellQuoted)).joined(separator: " ")
      console.note("go on with: \(same)")
      return .stopped
    case .finished(let summary):
      let files = try write(summary, command)
      if json {
        let whole: JSON = ["event": "comparison", "comparison": summary.json, "files": .array(files.map { .string($0) })]
        console.print(whole.text())
      } else {
        for line in ComparisonTable(summary).lines { console.print(line) }
        console.print()
        for file in files { console.print(Format.path(file)) }
      }
      // A comparison in which nobody comes through has no result.
      return summary.rows.allSatisfy { $0.rate == nil || $0.diverged > 0 } ? .failed : .ok
    }
  }

  private func write(_ summary: ComparisonSummary, _ command: String) throws -> [String] {
    var files: [String] = []
    func put(_ name: String, _ text: String) throws {
      let path = Folder.join(output, name)
      try WholeFile.write(text, to: path)
      files.append(path)
    }
    try put("comparison.json", summary.json.text(indented: true) + "\n")
    try put("comparison.csv", ComparisonTable(summary).csv)
    try put("comparison.html", ComparisonPage(summary, command: command).text)
    return files
  }

  private func variants() throws -> [RunVariant] {
    let named = try methods.flatMap { list in
      try list.split(separator: ",", omittingEmptySubsequences: false).map { try RunVariant(Self.trimmed($0)) }
    }
    guard let optimizers else { return named }
    let names = optimizers.split(separator: ",", omittingEmptySubsequences: false).map(Self.trimmed)
    guard !names.contains("") else { throw Failure(.usage, "--optimizers has an empty name between its commas") }
    return named.flatMap { variant in variant.optimizer == nil ? names.map { variant.with(optimizer: $0) } : [variant] }
  }

  private func grid() throws -> [Double] {
    guard let rates else { return [] }
    return try rates.split(separator: ",", omittingEmptySubsequences: false).map { word in
      guard let rate = Double(Self.trimmed(word)), rate > 0, rate.isFinite else {
        throw ValidationError("--rates: '\(printable(String(word)))' is no positive number")
      }
      return rate
    }
  }

  private static func trimmed(_ word: Substring) -> String {
    let blanks = word.drop { $0 == " " }
    return String(blanks.prefix(blanks.count - blanks.reversed().prefix { $0 == " " }.count))
  }
}

/// The machine in a line.
public enum Machine {
  public static var text: String {
    let threads = "\(Threads.count) thread\(Threads.count == 1 ? "" : "s")"
    return [processor, threads, "\(CPU.blasKernel) BLAS kernels", DoctorCommand.system, "\(DoctorCommand.build) build"]
      .compactMap(\.self).joined(separator: ", ")
  }

  /// The same, each by its name.
  static var facts: [BenchRecord.Fact] {
    [
      .init("processor", processor ?? "unknown"), .init("threads", "\(Threads.count)"), .init("BLAS kernels", CPU.blasKernel),
      .init("system", DoctorCommand.system), .init("build", DoctorCommand.build),
    ]
  }

  /// As the system calls it; nil where it does not tell.
  private static var processor: String? {
    // A file in /proc tells no size and cannot be mapped, but its lines can be read.
    guard let text = ProcessMemory.text("/proc/cpuinfo") else { return nil }
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":", maxSplits: 1).last.map { String($0.drop { $0 == " " }) }
  }
}
