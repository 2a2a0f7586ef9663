import Files
import JSON
import Models
import PEFTKernel
import Testing

@testable import AdapterFiles

/// Which modules a config means; the answers are PEFT's own, see `Fixtures/peft/make_targets.py`.
@Suite("PEFT's rules for modules")
struct TargetRulesTests {
  @Test("every config means what it means in PEFT, and is refused where PEFT refuses it")
  func rules() throws {
    let rows = try #require(try TextFile.readJSON(fixture("peft/targets.json")).array)
    #expect(rows.count == 38)
    for row in rows {
      let base = try #require(row["base"]?.string)
      let model = try ModelLoader.load(fixture("peft/bases/\(base)"))
      let scratch = try Scratch()
      let source = fixture("peft/\(base)-default")
      try Folder.create(scratch["a"])
      let members = [JSON.Member("peft_type", "LORA")] + (row["config"]?.members ?? [])
      try WholeFile.write(JSON.object(members).text(), to: scratch["a/adapter_config.json"])
      try SafetensorsWriter.write(
        SafetensorsFile(source + "/adapter_model.safetensors").tensors.map { .init(name: $0.name, shape: [0], floats: []) },
        to: scratch["a/adapter_model.safetensors"])
      let folder = try AdapterFolder(scratch["a"])
      var notes: [String] = []
      let expected = row["sites"]?.array?.compactMap(\.string)
      do {
        let subset = try PEFTBaseTensors.subset(folder, model, roles: [], &notes)
        let sites = try PEFTTargets.sites(folder, model, subset, &notes)
        #expect(sites.map(\.id.path).sorted() == expected, "\(row.text())")
      } catch {
        #expect(expected == nil, "\(row.text()): \(error)")
      }
    }
  }
}
