import AdapterFiles
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

@Suite("DoRA in PEFT's files")
struct DoRAFilesTests {
  let scratch: Scratch
  let registry: MethodRegistry
  let model: any LanguageModel

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
    model = try ModelLoader.load(fixture("llama-dora/base"))
  }

  /// How far the logits with an adapter are from PEFT's, for the reference's ids.
  private func distance(_ adapter: Adapter) throws -> Double {
    let reference = try SafetensorsFile(fixture("llama-dora/logits.safetensors"))
    let ids = try reference.ints(of: "ids").map { Int32($0) }
    let rows = RowLayout(sequences: 2, length: ids.count / 2)
    let pass = Pass(now: Moment(), rows: rows, sites: adapter.sites)
    let run = ModelRun(pass: pass, attachment: adapter.attached())
    let ours = model.logits(model.hidden(ids, run), run).floats
    return try zip(ours, reference.floats(of: "logits")).map { Double(abs($0 - $1)) }.max() ?? .infinity
  }

  @Test("an adapter that PEFT trained computes what it computes there")
  func reading() throws {
    let stored = try AdapterReader.read(fixture("llama-dora"), for: model, registry: registry)
    #expect(stored.entry.name == "dora")
    #expect(stored.adapter.sites.count == 6)
    #expect(try distance(stored.adapter) < 2e-5)
  }

  @Test("PEFT's names and its switch are written, and read again")
  func writing() throws {
    let stored = try AdapterReader.read(fixture("llama-dora"), for: model, registry: registry)
    try AdapterWriter.write(stored.adapter, entry: stored.entry, registry: registry, model: model, to: scratch["dora"])
    let config = try TextFile.readJSON(scratch["dora"] + "/adapter_config.json")
    #expect(config["peft_type"] == "LORA" && config["use_dora"] == true && config["r"] == 3 && config["lora_alpha"] == 6)
    let (ours, theirs) = (
      try SafetensorsFile(scratch["dora"] + "/adapter_model.safetensors"),
      try SafetensorsFile(fixture("llama-dora") + "/adapter_model.safetensors")
    )
    #expect(ours.tensors.map(\.name).sorted() == theirs.tensors.map(\.name).sorted())
    for tensor in theirs.tensors { #expect(try ours.floats(of: tensor.name) == theirs.floats(of: tensor.name)) }
    let again = try AdapterReader.read(scratch["dora"], for: model, registry: registry)
    #expect(again.entry == stored.entry)
    #expect(try distance(again.adapter) < 2e-5)
  }

  @Test("what PEFT would compute otherwise is written under a type it refuses")
  func foreign() throws {
    let stored = try AdapterReader.read(fixture("llama-dora"), for: model, registry: registry)
    let entry = try registry.entry("dora", overriding: ["r": .int(3), "lora_alpha": .int(6), "detach_norm": .bool(false)])
    let adapter = try Adapter(
      registry.assemble(entry), sites: stored.adapter.sites, layout: stored.adapter.layout, tensors: stored.adapter.tensors,
      on: stored.adapter.bases)
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["dora"])
    #expect(try TextFile.readJSON(scratch["dora"] + "/adapter_config.json")["peft_type"] == "SWIFT_DORA")
    #expect(try AdapterReader.read(scratch["dora"], for: model, registry: registry).entry == entry)
  }

  @Test("as a plain LoRA it is W' − W whole, or the nearest of a rank")
  func export() throws {
    let stored = try AdapterReader.read(fixture("llama-dora"), for: model, registry: registry)
    let report = try LoRAExport.write(stored.adapter, of: model, rank: 16, to: scratch["lora"])
    #expect(report.isExact)
    let plain = try AdapterReader.read(scratch["lora"], for: model, registry: registry)
    #expect(plain.entry.name == "lora")
    #expect(try distance(plain.adapter) < 1e-4)
    let small = try LoRAExport.write(stored.adapter, of: model, rank: 4, to: scratch["small"])
    #expect(small.sites.allSatisfy { $0.rank == 4 && $0.error > 0 && $0.error < 1 })
  }

  @Test("merged, the model computes the same")
  func merging() throws {
    let stored = try AdapterReader.read(fixture("llama-dora"), for: model, registry: registry)
    try Merging.merge(stored.adapter, into: model, to: scratch["merged"])
    let merged = try ModelLoader.load(scratch["merged"])
    let ids: [Int32] = [3, 1, 4, 1, 5]
    func logits(_ model: any LanguageModel, _ adapter: Adapter?) -> [Float] {
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [5]), sites: adapter?.sites ?? [])
      let run = ModelRun(pass: pass, attachment: adapter?.attached())
      return model.logits(model.hidden(ids, run), run).floats
    }
    let (a, b) = (logits(merged, nil), logits(model, stored.adapter))
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 2e-5 })
  }
}
