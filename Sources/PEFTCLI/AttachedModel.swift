import AdapterFiles
import ArgumentParser
import Models
import PEFTKernel
import Registry

/// Which model a command works on, and what is attached to it.
struct ModelOptions: ParsableArguments {
  @Option(name: .shortAndLong, help: ArgumentHelp("The model, a Hugging Face directory.", valueName: "folder"))
  var model: String

  @Option(name: .shortAndLong, help: ArgumentHelp("An adapter to attach.", valueName: "folder"))
  var adapter: String?

  func open(_ call: Invocation) throws -> AttachedModel {
    let base = try ModelLoader.load(model)
    guard let adapter else { return AttachedModel(model: base, stored: nil) }
    let stored = try AdapterReader.read(adapter, for: base, registry: call.registry())
    for note in stored.notes { call.console.note("note: \(note)") }
    return AttachedModel(model: base, stored: stored)
  }
}

/// A model with an adapter, or without.
struct AttachedModel {
  let model: any LanguageModel
  let stored: StoredAdapter?

  var adapter: Adapter? { stored?.adapter }
}
