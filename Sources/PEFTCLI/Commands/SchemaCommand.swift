import ArgumentParser
import PEFTKernel
import Registry

struct SchemaCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "schema", abstract: "Every key of a run file: its values, default and meaning.")

  @Flag(help: "The keys of a method entry instead.")
  var entry = false

  @Flag(help: "Everything as a Markdown page: run files, entries, axes, and what other programs call them.")
  var markdown = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    guard !markdown else {
      call.console.write(SchemaDocument.markdown(try call.registry()))
      return .ok
    }
    let rows = Self.rows(entry ? EntrySchema.keys : RunSchema.keys, prefix: "")
    for line in Format.table([["key", "may be", "default", "what it is"]] + rows) { call.console.print(line) }
    return .ok
  }

  /// Keys in the order of the schema; those of a section stand below it with its name before theirs.
  private static func rows(_ keys: [KeySpec], prefix: String) -> [[String]] {
    keys.flatMap { spec -> [[String]] in
      let name = prefix + spec.name
      let standard = spec.isRequired ? "required" : spec.standard == .null ? "" : spec.standard.text
      let null = spec.allowsNull && spec.standard != .null ? ", or null" : ""
      let row = [name, spec.kind.text + null, standard, spec.summary]
      guard case .section(let inner) = spec.kind else { return [row] }
      return [row] + rows(inner, prefix: name + ".")
    }
  }
}
