import Catalog
import Files
import Registry
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The folder of the package, found from this file.
let root = Folder.split(Folder.split(Folder.split(#filePath).folder).folder).folder

@Suite struct SchemaDocumentTests {
  @Test func docsSayWhatTheTablesSay() throws {
    let page = SchemaDocument.markdown(try Catalog.registry())
    let path = Folder.join(root, "docs/schema.md")
    if getenv("PEFT_WRITE_DOCS") != nil {
      try Folder.create(Folder.split(path).folder)
      try WholeFile.write(Array(page.utf8), to: path)
    }
    let isCurrent = try TextFile.read(path) == page
    #expect(isCurrent, "docs/schema.md is out of date: \(SchemaDocument.command)")
  }

  @Test func everyNameOfTheFieldMeansAKeyThatExists() {
    func paths(_ keys: [KeySpec], _ path: String) -> [String] {
      keys.flatMap { key -> [String] in
        guard case .section(let keys) = key.kind else { return [path + key.name] }
        return [path + key.name] + paths(keys, path + key.name + ".")
      }
    }
    let known = paths(RunSchema.keys, "")
    for field in FieldNames.all
    where !field.meaning.hasPrefix("method.") && !["optimizer.betas", "optimizer.eps"].contains(field.meaning) {
      #expect(known.contains(field.meaning), "\(field.name)")
      #expect(!known.contains(field.name), "\(field.name) is a key itself")
    }
  }
}
