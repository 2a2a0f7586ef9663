import AdapterFiles
import ArgumentParser
import Files
import JSON

struct UnmergeCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "unmerge", abstract: "Give back the base that a model was merged from, byte for byte.",
    discussion: """
      A merge leaves its base as it was and writes down the checksums of its files. Every byte of the base is compared with them; \
      nothing is subtracted, so nothing is rounded. Without --out, the base is only compared.
      """)

  @Argument(help: ArgumentHelp("A model directory that `merge` wrote.", valueName: "merged"))
  var merged: String

  @Option(
    name: [.customShort("m"), .customLong("model"), .customLong("base")],
    help: ArgumentHelp("The base; default: where it lay when it was merged.", valueName: "folder"))
  var model: String?

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write.", valueName: "folder"))
  var out: String?

  @Flag(help: "Replace the folder if it holds a model and nothing else.")
  var overwrite = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let record = try Unmerging.unmerge(merged, base: model, existing: overwrite ? .replace : .refuse, to: out)
    let bytes = record.baseFiles.reduce(0) { $0 + $1.size }
    if json {
      let report: JSON = [
        "base": .string(model ?? record.base), "base_digest": .string(record.baseDigest),
        "adapter": record.adapter.map { .string($0) } ?? .null, "out": out.map { .string($0) } ?? .null,
        "files": .array(record.baseFiles.map { .string($0.name) }), "bytes": .int(bytes),
      ]
      call.console.print(report.text(indented: true))
      return .ok
    }
    let place = Format.path(model ?? record.base)
    call.console.print(
      "\(place) is what \(Format.path(merged)) was merged from: \(record.baseFiles.count) files, \(Format.bytes(bytes))")
    if let adapter = record.adapter { call.console.print("merged with \(Format.path(adapter))") }
    if let out { call.console.print("model: \(out)") }
    return .ok
  }
}
