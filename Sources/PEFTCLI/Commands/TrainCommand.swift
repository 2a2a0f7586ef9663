import ArgumentParser
import Files
import Training

struct TrainCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train what a run file says.",
    discussion: """
      SIGINT or SIGTERM lets the step at hand finish, saves everything, and ends with code 75; `resume` then goes on, bit for \
      bit as if nothing had happened.
      """)

  @Argument(help: ArgumentHelp("The run file.", valueName: "run.yaml"))
  var runFile: String

  @Flag(help: "Check everything and say what would be done, but start nothing.")
  var dryRun = false

  @Flag(help: "Begin anew although the output folder holds a run that could be resumed.")
  var overwrite = false

  @OptionGroup var output: RunOutputOptions
  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let session = try RunSession.open(runFile, call)
    if dryRun {
      let plan = try RunPlan(session)
      call.console.print(output.json ? plan.json.text(indented: true) : plan.lines.joined(separator: "\n"))
      return .ok
    }
    try refuseStoppedRun(session.file.outputDir)
    return try await ConductedRun(session: session, resumes: false, call: call, output: output).perform()
  }

  /// A new run removes what an earlier one saved to go on from, which must be meant.
  private func refuseStoppedRun(_ folder: String) throws {
    guard let newest = try Checkpoint.newest(in: folder), !Checkpoint.isLast(newest), !overwrite else { return }
    throw FileError(
      .cannotCreate, folder, "holds a run that was stopped",
      remedy: "go on with `\(Invocation.programName) resume \(shellQuoted(folder))`, or begin anew with --overwrite")
  }
}
