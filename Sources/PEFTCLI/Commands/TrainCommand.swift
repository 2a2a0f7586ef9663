import ArgumentParser
import Training

struct TrainCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train what a run file says.",
    discussion: """
      SIGINT or SIGTERM lets the step at hand finish, saves everything, and ends with code 75; `resume` then goes on, bit for \
      bit as if nothing had happened. Before the first step there is nothing to save; then the code is 130.
      """)

  @Argument(help: ArgumentHelp("The run file.", valueName: "run.yaml"))
  var runFile: String

  @Flag(help: "Check everything and say what would be done, but start nothing.")
  var dryRun = false

  @Flag(help: "Begin anew although the output folder holds a run; what it saved is replaced.")
  var overwrite = false

  @OptionGroup var output: RunOutputOptions
  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let session = try RunSession.open(runFile, call)
    if dryRun {
      let report = try PlanReport(session)
      for note in report.notes { call.console.note("note: \(note)") }
      call.console.print(output.json ? report.json.text(indented: true) : report.lines().joined(separator: "\n"))
      return .ok
    }
    let run = TrainingRun(session, overwrites: overwrite)
    return try await ConductedRun(session: session, run: run, call: call, output: output).perform()
  }
}
