import AdapterFiles
import ArgumentParser
import Files
import JSON
import Models

struct ExportCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write an adapter of any method that changes weights as a plain LoRA for other programs.",
    discussion: """
      Exact where the change has low rank, and then no wider than it needs; with --rank, the best approximation of that rank, its error \
      printed. Changes of full rank need --rank. Formats: peft, a directory for Hugging Face PEFT; mlx, one for mlx-lm; \
      gguf, a file for llama.cpp. What a format has no place for is refused.
      """)

  @Option(name: .shortAndLong, help: ArgumentHelp("The base model.", valueName: "folder"))
  var model: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The adapter.", valueName: "folder"))
  var adapter: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write, or the file for gguf.", valueName: "folder"))
  var out: String

  @Option(help: ArgumentHelp("Whose files are written: peft, mlx or gguf.", valueName: "name"))
  var format: AdapterFormat = .peft

  @Option(help: "The largest rank; default: whatever is exact.")
  var rank: Int?

  @Flag(help: "Replace the folder if it holds an adapter and nothing else, or the file.")
  var overwrite = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let rank, rank < 1 { throw ValidationError("--rank must be at least 1") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let base = try AdapterReader.base(model, for: adapter)
    let stored = try AdapterReader.read(adapter, for: base, registry: call.registry())
    for note in stored.notes { call.console.note("note: \(note)") }
    let existing: AtomicDirectory.Existing = overwrite ? .replace : .refuse
    let report: LoRAConversion.Report?
    switch format {
    case .peft:
      report = try LoRAExport.write(stored.adapter, of: base, rank: rank, existing: existing, inputs: [adapter], to: out)
    case .mlx: report = try MLXWriter.write(stored.adapter, of: base, rank: rank, existing: existing, inputs: [adapter], to: out)
    case .gguf:
      report = try GGUFAdapterWriter.write(
        stored.adapter, of: base, rank: rank, overwrites: overwrite, inputs: [adapter], to: out)
    }
    guard let report else {
      // Nothing had to be converted.
      call.console.print(json ? (["out": .string(out), "exact": true] as JSON).text(indented: true) : "adapter: \(out)")
      return .ok
    }
    let shown = ConversionReport(report: report, out: out)
    if json {
      call.console.print(shown.json.text(indented: true))
    } else {
      for line in shown.lines { call.console.print(line) }
    }
    return .ok
  }
}

extension AdapterFormat: ExpressibleByArgument {}
