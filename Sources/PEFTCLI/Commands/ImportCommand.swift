import AdapterFiles
import ArgumentParser
import Files
import JSON
import Models

struct ImportCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Read an adapter of another program and write it as this one keeps them.",
    discussion: """
      Reads directories of Hugging Face PEFT and mlx-lm and GGUF files of llama.cpp; which it is, the contents say. Other commands read \
      them as well: this one is for keeping the result, and for files that lack tensors or have some too many.
      """)

  @Option(name: .shortAndLong, help: ArgumentHelp("The base model.", valueName: "folder"))
  var model: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The adapter: a folder, or a GGUF file.", valueName: "path"))
  var adapter: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write.", valueName: "folder"))
  var out: String

  @Flag(help: "Leave sites without an adapter whose tensors the files lack.")
  var allowMissing = false

  @Flag(help: "Pass over tensors that belong nowhere.")
  var ignoreExtra = false

  @Flag(help: "Replace the folder if it holds an adapter and nothing else.")
  var overwrite = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let base = try AdapterReader.base(model, for: adapter)
    let registry = try call.registry()
    var tolerance: AdapterReader.Tolerance = []
    if allowMissing { tolerance.insert(.missing) }
    if ignoreExtra { tolerance.insert(.extra) }
    let format = try AdapterFormat(of: adapter)
    let stored = try AdapterReader.read(adapter, for: base, registry: registry, allowing: tolerance)
    for note in stored.notes { call.console.note("note: \(note)") }
    try AdapterWriter.write(
      stored.adapter, entry: stored.entry, registry: registry, model: base, existing: overwrite ? .replace : .refuse,
      inputs: [adapter], to: out)
    let adapted = stored.adapter.sites.count
    if json {
      let report: JSON = [
        "out": .string(out), "format": .string(format.rawValue), "method": .string(stored.entry.name), "sites": .int(adapted),
        "trained": .array(stored.adapter.trained.keys.sorted().map(JSON.string)),
        "labels": base.classes.map { JSON.array($0.names.map(JSON.string)) } ?? .null,
        "notes": .array(stored.notes.map(JSON.string)),
      ]
      call.console.print(report.text(indented: true))
      return .ok
    }
    let trained = stored.adapter.trained.count
    call.console.print(
      "\(format.rawValue): \(stored.entry.name) at \(adapted) sites"
        + (trained > 0 ? ", \(trained) tensors of the base trained in full" : "")
        + (base.classes.map { ", \($0.names.count) labels" } ?? ""))
    call.console.print("adapter: \(out)")
    return .ok
  }
}
