import ArgumentParser
import Registry
import Training

struct PlanCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "What a run would train and how much memory it would take; nothing is started.")

  @Argument(help: ArgumentHelp("The run file.", valueName: "run.yaml"))
  var runFile: String

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let session = try RunSession.open(runFile, call)
    for note in session.notes { call.console.note("note: \(note)") }
    let plan = try RunPlan(session)
    call.console.print(json ? plan.json.text(indented: true) : plan.lines.joined(separator: "\n"))
    return .ok
  }
}
