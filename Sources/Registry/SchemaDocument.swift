import PEFTKernel

/// The schema as a page: written from the tables that readers and errors use.
public enum SchemaDocument {
  /// The whole page: run files, method entries, the registered axes, and the names of the field.
  public static func markdown(_ registry: MethodRegistry) -> String {
    var page = """
      # Schema

      Written by `\(command)` from the tables that read these files; a test holds the two equal.

      Files are YAML, read strictly: an unknown key, a wrong type, a value out of range, a key that stands twice and a selector
      that matches nothing are errors, reported all at once with file, line and column. Paths are relative to the file they
      stand in. Where a key has no default, leaving it out and `null` mean the same.

      ## Run file


      """
    page += table(RunSchema.keys)
    page += """

      ## Method entry

      A file in `methods/` or in a folder of your own, and the long form of `method` in a run file. In a run file
      `method: {use: NAME, …}` takes an entry and replaces parts of it, or bare options of its projection, its init strategy or
      its optimizer.


      """
    page += table(EntrySchema.keys)
    page += axes("Projections", registry.axes.projections)
    page += axes("Init strategies", registry.axes.inits)
    page += axes("Optimizers", registry.axes.optimizers)
    page += """

      ## What other programs call it

      None of these is read; errors name the key to write instead.

      | name | of | here |
      |---|---|---|

      """
    for field in FieldNames.all.sorted(by: { $0.name < $1.name }) {
      page += row([code(field.name), field.programs.joined(separator: ", "), code(field.meaning)])
    }
    return page
  }

  /// What writes the page.
  public static let command = "PEFT_WRITE_DOCS=1 swift test --filter SchemaDocument"

  private static func table(_ keys: [KeySpec]) -> String {
    "| key | value | default | meaning |\n|---|---|---|---|\n" + rows(keys, path: "")
  }

  private static func rows(_ keys: [KeySpec], path: String) -> String {
    keys.map { key in
      let here = SchemaReader.join(path, key.name)
      let type = key.kind.text + (key.allowsNull && key.standard != .null ? ", or `null`" : "")
      let standard = key.isRequired ? "required" : [.null, .string("")].contains(key.standard) ? "" : code(key.standard.text)
      let own = row([code(here), type, standard, key.summary])
      guard case .section(let keys) = key.kind else { return own }
      return own + rows(keys, path: here)
    }.joined()
  }

  private static func axes<Axis>(_ title: String, _ table: [String: AxisDefinition<Axis>]) -> String {
    var text = "\n## \(title)\n"
    for definition in table.values.sorted(by: { $0.name < $1.name }) {
      text += "\n### `\(definition.name)`\n\n\(definition.summary)\n"
      if !definition.aliases.isEmpty {
        text += "\nAlso called " + definition.aliases.map { code($0.text) }.joined(separator: ", ") + ".\n"
      }
      guard !definition.options.isEmpty else { continue }
      text += "\n| option | value | default | meaning | also called |\n|---|---|---|---|---|\n"
      for option in definition.options {
        let type = option.kind.text + (option.standard == .null ? ", or `null`" : "")
        let aliases = option.aliases.map { code($0.name) }.joined(separator: ", ")
        text += row([code(option.name), type, code(option.standard.text), option.summary, aliases])
      }
    }
    return text
  }

  private static func code(_ text: String) -> String { "`\(text)`" }

  private static func row(_ cells: [String]) -> String {
    "| "
      + cells.map { $0.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|") }.joined(separator: " | ")
      + " |\n"
  }
}
