import ArgumentParser
import Files
import JSON
import Registry
import Tokenization
import Training

struct DataShowCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Rows as the model reads them: their tokens, and which of them are learned.",
    discussion: """
      On a terminal as text: what is learned is green, every other token underlined. Elsewhere, and with --table, one token a \
      line: its place, its id, + where it is learned, its text.
      """)

  enum Part: String, ExpressibleByArgument, CaseIterable {
    case train
    case valid
    case test
  }

  @Argument(help: ArgumentHelp("The run file.", valueName: "run.yaml"))
  var file: String

  @Option(help: "Which part of the data.")
  var part = Part.train

  @Option(name: [.customShort("n"), .long], help: "How many rows, from the first on.")
  var rows = 3

  @Option(help: "One row by its number in the part, counted from 1.")
  var row: Int?

  @Flag(help: "One token a line on a terminal, too.")
  var table = false

  @Flag(help: "Print one JSON object a row.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if rows < 1 { throw ValidationError("--rows must be at least 1") }
    if let row, row < 1 { throw ValidationError("--row counts from 1") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let file = try RunFile.load(file, registry: call.registry())
    let (parts, tokenizer) = try DataPart.parts(of: file)
    guard let chosen = parts.first(where: { $0.name == part.rawValue }), let encoded = chosen.encoded else {
      let names = parts.compactMap(\.name).joined(separator: ", ")
      throw Failure(.usage, "the run has no part \(part.rawValue); it has \(names)")
    }
    if !chosen.bad.isEmpty {
      call.console.note("note: \(chosen.bad.count) bad rows are left out: `\(Invocation.command) data check` names them")
    }
    let last = encoded.examples.count
    if let row, row > last { throw Failure(.usage, "--row \(row): the part has \(last) rows to learn from") }
    let range = row.map { $0 - 1..<$0 } ?? 0..<min(rows, last)
    for index in range {
      let place = encoded.rows[index]
      let origin = chosen.rows.indices.contains(place) ? chosen.rows[place].origin(in: chosen.path) : chosen.path
      show(
        TokenView(encoded.examples[index], tokenizer), number: index + 1, of: origin, isFirst: index == range.lowerBound,
        call.console)
    }
    return .ok
  }

  private func show(_ view: TokenView, number: Int, of place: String, isFirst: Bool, _ console: Console) {
    if json { return console.print(view.json(row: number, place: place).text()) }
    if !isFirst { console.print() }
    console.print("row \(number)  \(place)  \(view.summary)")
    if console.hasColors, !table { return console.print(view.coloured) }
    for line in view.table { console.print(line) }
  }
}
