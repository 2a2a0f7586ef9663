import AdapterFiles
import ArgumentParser
import JSON
import Models

struct ExportCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write an adapter of any method that changes weights as a plain LoRA that PEFT loads.",
    discussion: """
      Exact where the change has low rank, and then no wider than it needs; with --rank, the best approximation of that rank, its error \
      printed. Changes of full rank need --rank.
      """)

  @Option(name: .shortAndLong, help: ArgumentHelp("The base model.", valueName: "folder"))
  var model: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The adapter.", valueName: "folder"))
  var adapter: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write.", valueName: "folder"))
  var out: String

  @Option(help: "The largest rank; default: whatever is exact.")
  var rank: Int?

  @Flag(help: "Replace the folder if it holds an adapter and nothing else.")
  var overwrite = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let rank, rank < 1 { throw ValidationError("--rank must be at least 1") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let base = try ModelLoader.load(model)
    let stored = try AdapterReader.read(adapter, for: base, registry: call.registry())
    for note in stored.notes { call.console.note("note: \(note)") }
    let report = try LoRAExport.write(
      stored.adapter, of: base, rank: rank, existing: overwrite ? .replace : .refuse, inputs: [adapter], to: out)
    let shown = ConversionReport(report: report, out: out)
    if json {
      call.console.print(shown.json.text(indented: true))
    } else {
      for line in shown.lines { call.console.print(line) }
    }
    return .ok
  }
}
