import ArgumentParser
import Files
import Registry
import Training

struct ResumeCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Go on with a stopped run, bit for bit as if it had not stopped.")

  @Argument(help: ArgumentHelp("The run's folder, its output_dir.", valueName: "folder"))
  var folder: String

  @OptionGroup var output: RunOutputOptions
  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let registry = try call.registry()
    let path = Folder.join(folder, RunSession.fileName)
    guard Folder.isFile(path) else {
      throw FileError(
        .missing, folder, "holds no run", cause: "there is no \(RunSession.fileName)", remedy: "give a run's output_dir")
    }
    var file = try RunFile.load(path, registry: registry)
    // The folder may have been moved since.
    file.outputDir = Folder.absolute(folder)
    let session = try RunSession(file, registry: registry)
    let run = TrainingRun(session, resumes: true)
    return try await ConductedRun(session: session, run: run, call: call, output: output).perform()
  }
}
