import AdapterFiles
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

/// Tensors that files leave out because they follow from the base.
@Suite("Derived tensors")
struct DerivedTests {
  let scratch: Scratch
  let registry: MethodRegistry
  let model: any LanguageModel

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
    model = try scratch.model("llama")
  }

  /// An adapter in the singular basis of the weights it stands at, moved off its start, and the folder it was written to.
  func written() throws -> (adapter: Adapter, folder: String) {
    let entry = try registry.entry("salt", overriding: ["salt_rank": .int(3), "r": .int(2), "store_basis": .bool(false)])
    let assembly = try registry.assemble(entry)
    let sites = model.sites("q_proj", "v_proj")
    let layout = try Adapter.layout(assembly, over: sites)
    let bases = Bases { [model] in model.base($0) }
    var evidence = Evidence(weight: { [model] in model.base($0).weight(as: .float32) })
    var tensors = try assembly.start(layout, sites, on: bases, &evidence, Moment(seed: 1)).tensors
    for spec in layout where spec.keep == .stored {
      var random = Philox(key: 2).stream(spec.key.description)
      tensors[spec.key] = tensors[spec.key] + random.normal(spec.shape, deviation: 0.2)
    }
    let adapter = try Adapter(assembly, sites: sites, layout: layout, tensors: tensors, on: bases)
    let folder = scratch["salt"]
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: folder)
    return (adapter, folder)
  }

  /// The folder's config with its record's sketches edited.
  func edit(_ folder: String, _ body: ([JSON.Member]) -> [JSON.Member]) throws {
    let path = folder + "/adapter_config.json"
    var config = try #require(TextFile.readJSON(path).members)
    let place = try #require(config.firstIndex { $0.key == "swift_peft" })
    var record = try #require(config[place].value.members)
    let derived = try #require(record.firstIndex { $0.key == "derived" })
    record[derived] = .init("derived", .object(body(try #require(record[derived].value.members))))
    config[place] = .init("swift_peft", .object(record))
    try WholeFile.write(JSON.object(config).text(), to: path)
  }

  @Test func areMadeAgainFromTheBase() throws {
    let (adapter, folder) = try written()
    let names = try SafetensorsFile(folder + "/adapter_model.safetensors").tensors.map(\.name)
    #expect(!names.isEmpty && !names.contains { $0.contains("svd_") })
    let read = try AdapterReader.read(folder, for: model, registry: registry)
    for spec in adapter.layout { #expect(read.adapter.tensors[spec.key].floats == adapter.tensors[spec.key].floats) }
    #expect(logits(model, read.adapter) == logits(model, adapter))
  }

  @Test func ofAnotherBaseAreRefused() throws {
    let (_, folder) = try written()
    try edit(folder) { members in
      // Each sum with its sign turned, as another direction of the same weight would give it.
      members.map { .init($0.key, .array(($0.value.array ?? []).map { JSON.double(-($0.double ?? 0)) })) }
    }
    let said = message(scratch) { _ = try AdapterReader.read(folder, for: model, registry: registry) }
    #expect(said.contains("svd_") && said.contains("is not what the adapter was trained with"))
  }

  @Test func withoutASketchAreRefused() throws {
    let (_, folder) = try written()
    try edit(folder) { _ in [] }
    let said = message(scratch) { _ = try AdapterReader.read(folder, for: model, registry: registry) }
    #expect(said.contains("holds no sketch of") && said.contains("svd_"))
  }
}
