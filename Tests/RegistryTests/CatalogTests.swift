import Catalog
import Files
import Registry
import Testing

/// A method is added in three lines: these tests notice one that was forgotten.
@Suite struct CatalogTests {
  /// The manifest's list, one line a method: its name and its entries.
  func manifest() throws -> [(method: String, entries: [String])] {
    let text = try TextFile.read(Folder.join(root, "Package.swift"))
    let lines = text.split(separator: "\n")
    let start = try #require(lines.firstIndex(of: "let methods: KeyValuePairs = ["))
    return lines[(start + 1)...].prefix { $0 != "]" }.map { line in
      let words = line.split(separator: "\"").enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
      return (words[0], Array(words.dropFirst()))
    }
  }

  @Test func manifestCatalogAndFoldersAgree() throws {
    let methods = try manifest().map(\.method)
    #expect(methods == methods.sorted())
    #expect(try Folder.names(in: Folder.join(root, "Plugins")).filter { !$0.hasPrefix(".") } == methods)
    let catalog = try TextFile.read(Folder.join(root, "Sources/Catalog/Catalog.swift"))
    let imports = catalog.split(separator: "\n").filter { $0.hasPrefix("import ") }.map { String($0.dropFirst(7)) }
    #expect(imports.filter { !["Blocks", "PEFTKernel", "Registry"].contains($0) } == methods)
    for method in methods { #expect(catalog.contains("\(method)Method.plugin")) }
  }

  @Test func everyEntryIsEmbeddedAndAssembles() throws {
    let files = try Folder.names(in: Folder.join(root, "methods")).filter { $0.hasSuffix(".yaml") }
    let text = try TextFile.read(Folder.join(root, "Package.swift"))
    let lines = text.split(separator: "\n")
    let start = try #require(lines.firstIndex(of: "let composed = ["))
    let composed = lines[start + 1].split(separator: "\"").enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
    #expect((composed + (try manifest().flatMap(\.entries))).map { $0 + ".yaml" }.sorted() == files)
    #expect(Catalog.entries.map(\.file).sorted() == files.map { "methods/" + $0 })
    let registry = try Catalog.registry()
    #expect(registry.entries.keys.map { $0 + ".yaml" }.sorted() == files)
    for source in Catalog.entries { #expect(try TextFile.read(Folder.join(root, source.file)) == source.text) }
    for entry in registry.entries.values {
      _ = try registry.assemble(entry)
      _ = try registry.rule(entry.optimizer.name, options: entry.optimizer.options)
      #expect(try registry.entry(from: registry.json(of: entry), place: "") == entry)
    }
  }
}
