import AdapterFiles
import ArgumentParser
import Files
import Models
import PEFTKernel
import Registry

/// Which model a command works on, and what is attached to it.
struct ModelOptions: ParsableArguments {
  @Option(name: .shortAndLong, help: ArgumentHelp("The model, a Hugging Face directory.", valueName: "folder"))
  var model: String

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "An adapter to attach; may be repeated, each under a name of its own (its folder's, where none is given).",
      valueName: "[name=]folder"))
  var adapter: [String] = []

  @Option(help: ArgumentHelp("Which of the adapters is used, by its name; base for none of them.", valueName: "name"))
  var use: String?

  /// The model with the one adapter that is meant; of several, `--use` must say which.
  func open(_ call: Invocation) throws -> AttachedModel {
    guard use == nil, adapter.count > 1 else { return try openAll(call) }
    let names = (adapter.map { NamedFolder($0).name } + [AdapterBank.base]).map { "--use \($0)" }
    throw Failure(.usage, "there are \(adapter.count) adapters; say which is used: \(names.joined(separator: ", "))")
  }

  /// The model with all adapters by name; in use is what `--use` says, or else the only one there is.
  func openAll(_ call: Invocation) throws -> AttachedModel {
    let base = try ModelLoader.load(model)
    var bank = try NamedFolder.bank(adapter, on: base, call)
    do throws(Refusal) {
      try bank.use(use ?? (bank.names.count == 1 ? bank.names.first : nil))
    } catch {
      throw Failure(.usage, "--use: \(error)")
    }
    return AttachedModel(model: base, bank: bank)
  }
}

/// A model with adapters by name, one of them in use, or none.
struct AttachedModel {
  let model: any LanguageModel
  var bank: AdapterBank

  var adapter: Adapter? { bank.active }
}

/// An adapter as it is named on the command line: `[name=]folder`.
struct NamedFolder {
  let name: String
  let folder: String

  init(_ text: String) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    // A folder may have the sign in its name.
    if parts.count == 2, !parts[0].contains("/"), !Folder.exists(text) {
      (name, folder) = (String(parts[0]), String(parts[1]))
      return
    }
    let last = Folder.split(Folder.tidied(Folder.absolute(text))).name
    let isWord = last != AdapterBank.base && !last.contains { $0.isWhitespace || "=,".contains($0) }
    (name, folder) = (isWord ? last : "adapter", text)
  }

  /// Reads all of them, each for `model`.
  static func bank(_ texts: [String], on model: any Model, _ call: Invocation) throws -> AdapterBank {
    var bank = AdapterBank(on: model)
    let registry = texts.isEmpty ? nil : try call.registry()
    for text in texts {
      let named = NamedFolder(text)
      guard let registry else { break }
      let stored = try AdapterReader.read(named.folder, for: model, registry: registry)
      for note in stored.notes { call.console.note("note: \(texts.count > 1 ? "\(named.name): " : "")\(note)") }
      do throws(Refusal) { try bank.add(stored.adapter, as: named.name) } catch {
        throw Failure(.usage, "--adapter \(shellQuoted(text)): \(error)")
      }
    }
    return bank
  }
}
