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
      let report = try PlanReport(session)
      for note in report.notes { call.console.note("note: \(note)") }
      call.console.print(output.json ? report.json.text(indented: true) : report.lines().joined(separator: "\n"))
      return .ok
    }
    try clear(session.file.outputDir)
    return try await ConductedRun(session: session, resumes: false, call: call, output: output).perform()
  }

  /// Makes way for a run: what an earlier one saved to go on from must not be taken for this one's.
  private func clear(_ folder: String) throws {
    guard try Checkpoint.newest(in: folder) != nil else { return }
    let isFinished = ["adapter", "model"].contains { Folder.isFolder(Folder.join(folder, $0)) }
    guard isFinished || overwrite else {
      throw FileError(
        .cannotCreate, folder, "holds a run that was stopped",
        remedy: "go on with `\(Invocation.programName) resume \(shellQuoted(folder))`, or begin anew with --overwrite")
    }
    try Folder.remove(Folder.join(folder, "checkpoints"))
  }
}
