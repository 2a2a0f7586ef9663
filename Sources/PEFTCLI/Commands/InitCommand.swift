import ArgumentParser
import Files
import JSON
import PEFTKernel
import Registry
import Training

struct InitCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "init", abstract: "Write the adapter a run starts with, and train nothing.",
    discussion: "What the method's start looks at (gradients of the first batches, say) is computed as in `train`.")

  @Argument(help: ArgumentHelp("The run file.", valueName: "run.yaml"))
  var runFile: String

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("The folder to write; default: adapter_init in the run's folder, which is replaced.", valueName: "folder"))
  var out: String?

  @Flag(help: "Replace the folder if it holds an adapter and nothing else.")
  var overwrite = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let session = try RunSession.open(runFile, call)
    for note in session.notes { call.console.note("note: \(note)") }
    guard session.entry.hasAdapter else {
      throw Refusal("`\(session.entry.name)` has no adapter: it trains the base's own tensors")
    }
    let target = out ?? Folder.join(session.file.outputDir, "adapter_init")
    let existing = overwrite || out == nil ? AtomicDirectory.Existing.replace : .refuse
    try session.checkTarget(target, existing: existing)
    let reporter = TrainingReporter(call.console, json ? .silent : call.console.isTerminal ? .bar : .lines)
    let adapter = try session.startedAdapter { reporter.take(.gradients(batch: $0, of: $1)) }
    for note in adapter.notes { call.console.note("note: \(note)") }
    try session.write(adapter, existing: existing, to: target)
    let trainable = adapter.trainable.reduce(0) { $0 + $1.count }
    if json {
      let report: JSON = [
        "adapter": .string(target), "method": .string(session.entry.name), "sites": .int(adapter.sites.count),
        "trainable": .int(trainable), "tensors": .int(adapter.layout.count),
      ]
      call.console.print(report.text())
    } else {
      call.console.print(
        "\(session.entry.name) at \(adapter.sites.count) sites: \(Format.grouped(trainable)) trainable parameters in "
          + "\(adapter.trainable.count) tensors")
      call.console.print("adapter: \(target)")
    }
    return .ok
  }
}
