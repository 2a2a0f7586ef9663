import ArgumentParser

/// The root of the command tree. What it does is in its subcommands.
struct RootCommand: ParsableCommand {
  static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: Invocation.programName,
      abstract: "Parameter-efficient fine-tuning: a method is a choice of projection, start and trainable subset.",
      discussion: """
        Exit codes: 0 done, 1 a check failed, 64 usage, 65 bad data, 66 no input, 73 cannot create, 74 input or output \
        failed, 75 stopped and resumable, 78 configuration, 130 stopped before the first step.
        """,
      version: Version.text,
      groupedSubcommands: [
        CommandGroup(
          name: "Training",
          subcommands: [
            TrainCommand.self, ResumeCommand.self, PlanCommand.self, CompareCommand.self, InitCommand.self, EvalCommand.self,
            PredictCommand.self, GenerateCommand.self, ChatCommand.self, DataCommand.self,
          ]),
        CommandGroup(
          name: "Files",
          subcommands: [
            MergeCommand.self, UnmergeCommand.self, ImportCommand.self, ExportCommand.self, CombineCommand.self,
            QuantizeCommand.self,
            InspectCommand.self, ForwardCommand.self,
          ]),
        CommandGroup(
          name: "Methods and machine",
          subcommands: [MethodsCommand.self, VerifyCommand.self, SchemaCommand.self, DoctorCommand.self, BenchCommand.self]),
      ])
  }
}

/// A command that runs with what the program was made of.
protocol Subcommand: ParsableCommand {
  var common: CommonOptions { get }
  func run(_ call: Invocation) async throws -> ExitStatus
}

/// What every command takes.
struct CommonOptions: ParsableArguments {
  @Option(
    name: [.customLong("methods"), .customLong("entries")],
    help: ArgumentHelp("A folder of method entries of your own; may be repeated.", valueName: "folder"))
  var folders: [String] = []

  @Flag(name: .shortAndLong, help: "Say on standard error what is being done.")
  var verbose = false
}

/// The program's version.
public enum Version {
  public static let text = "0.1.0"
}
