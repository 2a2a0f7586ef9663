import AdapterFiles
import ArgumentParser
import Files
import Models
import PEFTKernel

struct CombineCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "combine", abstract: "Add and subtract adapters of any methods on one base: Σ weight·ΔW, as a plain LoRA.",
    discussion: """
      Sites are those of any of the adapters. Exact where the ranks allow, and then no wider than the sum needs; --rank cuts to the \
      nearest sum of that rank and prints what is missing. Example: --adapter a=runs/a/adapter --adapter b=runs/b/adapter \
      --weights a=1,b=-0.5
      """)

  @Option(name: .shortAndLong, help: ArgumentHelp("The base model.", valueName: "folder"))
  var model: String

  @Option(name: .shortAndLong, help: ArgumentHelp("An adapter and its name; given for each.", valueName: "[name=]folder"))
  var adapter: [String]

  @Option(help: ArgumentHelp("What each counts for; default: 1 each.", valueName: "name=number,…"))
  var weights: String?

  @Option(help: "The largest rank; default: whatever is exact.")
  var rank: Int?

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write.", valueName: "folder"))
  var out: String

  @Flag(help: "Replace the folder if it holds an adapter and nothing else.")
  var overwrite = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if adapter.isEmpty { throw ValidationError("Give --adapter for each adapter of the sum.") }
    if let rank, rank < 1 { throw ValidationError("--rank must be at least 1") }
    _ = try parsedWeights()
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let folders = adapter.map { NamedFolder($0).folder }
    let headed = try folders.first { try AdapterReader.labels(of: $0, base: model) != nil }
    let base = try AdapterReader.base(model, for: headed ?? folders.first)
    let bank = try NamedFolder.bank(adapter, on: base, call)
    let given = try parsedWeights()
    let terms: [WeightedAdapter]
    do throws(Refusal) {
      let ones = Dictionary(bank.names.map { ($0, 1.0) }) { first, _ in first }
      terms = try bank.terms(given ?? ones)
    } catch {
      throw Failure(.usage, "--weights: \(error)")
    }
    let report = try LoRAExport.write(
      sum: terms, of: base, rank: rank, existing: overwrite ? .replace : .refuse, inputs: adapter.map { NamedFolder($0).folder },
      to: out)
    let shown = ConversionReport(report: report, out: out)
    if json {
      call.console.print(shown.json.text(indented: true))
    } else {
      for line in shown.lines { call.console.print(line) }
    }
    return .ok
  }

  /// Nil where none are given.
  private func parsedWeights() throws -> [String: Double]? {
    guard let weights else { return nil }
    var table: [String: Double] = [:]
    for item in weights.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { word in
        String(word.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
      }
      guard parts.count == 2, let weight = Double(parts[1]), weight.isFinite else {
        throw ValidationError("--weights: `\(item)` is no `name=number`")
      }
      guard table.updateValue(weight, forKey: parts[0]) == nil else {
        throw ValidationError("--weights: `\(parts[0])` has two weights")
      }
    }
    return table
  }
}
