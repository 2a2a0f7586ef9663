import ArgumentParser
import Registry
import Training

struct PlanCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "What a run would train and how much memory it would take.",
    discussion: """
      Takes a step or two in memory to measure what they take, but writes nothing. With --verbose every site has its line.
      """)

  @Argument(help: ArgumentHelp("The run file.", valueName: "run.yaml"))
  var runFile: String

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let session = try RunSession.open(runFile, call)
    let report = try PlanReport(session)
    for note in report.notes { call.console.note("note: \(note)") }
    call.console.print(
      json ? report.json.text(indented: true) : report.lines(everySite: common.verbose).joined(separator: "\n"))
    return .ok
  }
}
