import ArgumentParser

/// What can be known about data before a run.
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Look at training data: what is learned of it, and what is wrong with it.",
    subcommands: [DataShowCommand.self, DataCheckCommand.self])
}
