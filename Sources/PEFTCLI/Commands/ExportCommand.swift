import AdapterFiles
import ArgumentParser
import JSON
import Models

struct ExportCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write an adapter of any method that changes weights as a plain LoRA that PEFT loads.",
    discussion: "Exact where the change has low rank; else the best approximation of the rank, its error printed.")

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
    if json {
      let sites = report.sites.map { ["path": .string($0.path), "rank": .int($0.rank), "error": .double($0.error)] as JSON }
      call.console.print(
        (["out": .string(out), "exact": .bool(report.isExact), "sites": .array(sites)] as JSON).text(indented: true))
      return .ok
    }
    let rows = report.sites.map { [$0.path, String($0.rank), $0.error == 0 ? "exact" : Format.significant($0.error, 3)] }
    for line in Format.table([["site", "rank", "relative error"]] + rows, right: [1, 2]) { call.console.print(line) }
    call.console.print("\nadapter: \(out)")
    return .ok
  }
}
