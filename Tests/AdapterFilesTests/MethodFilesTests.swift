import AdapterFiles
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Adapters that PEFT trained (`Fixtures/methods`), and ours as PEFT must read them.
@Suite("VeRA, RandLoRA, SHiRA, FourierFT and WaveFT in PEFT's files")
struct MethodFilesTests {
  let scratch: Scratch
  let registry: MethodRegistry

  static let trained = [
    "llama-vera", "llama-vera-seed", "gpt2-vera", "llama-randlora", "llama-randlora-seed", "llama-randlora-sparse",
    "gpt2-randlora-very-sparse", "llama-shira", "llama-shira-default", "llama-fourierft", "gpt2-fourierft", "llama-waveft",
    "llama-waveft-sym4", "gpt2-waveft-db2", "llama-waveft-plain",
  ]

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  private func model(of name: String) throws -> any LanguageModel {
    try ModelLoader.load(fixture("methods/bases/" + name.prefix { $0 != "-" }))
  }

  private func read(_ folder: String, _ name: String) throws -> StoredAdapter {
    try AdapterReader.read(folder, for: model(of: name), registry: registry)
  }

  /// The logits for two rows of ids.
  private func logits(_ ids: [Int32], _ model: any LanguageModel, _ adapter: Adapter) -> [Float] {
    let rows = RowLayout(sequences: 2, length: ids.count / 2)
    let pass = Pass(now: Moment(), rows: rows, sites: adapter.sites)
    let run = ModelRun(pass: pass, attachment: adapter.attached())
    return model.logits(model.hidden(ids, run), run).floats
  }

  /// How far they are from PEFT's.
  private func distance(_ adapter: Adapter, _ name: String) throws -> Float {
    let reference = try SafetensorsFile(fixture("methods/\(name)/logits.safetensors"))
    let ids = try reference.ints(of: "ids").map { Int32($0) }
    return largestDifference(logits(ids, try model(of: name), adapter), try reference.floats(of: "logits"))
  }

  /// The fixture with fields and tensors edited.
  private func edited(
    _ name: String, config edits: [String: JSON] = [:], _ edit: (inout [StoredTensor]) -> Void = { _ in }
  ) throws -> String { try scratch.adapter("methods/" + name, config: edits, edit) }

  @Test("what PEFT trained computes what it computes there", arguments: trained) func reading(_ name: String) throws {
    let stored = try read(fixture("methods/" + name), name)
    #expect(try distance(stored.adapter, name) < 2e-5)
    #expect(name.contains("-" + stored.entry.name))
  }

  @Test("written anew it has PEFT's type, fields and tensors", arguments: trained) func writing(_ name: String) throws {
    let stored = try read(fixture("methods/" + name), name)
    let model = try model(of: name)
    try AdapterWriter.write(stored.adapter, entry: stored.entry, registry: registry, model: model, to: scratch["out"])
    let (ours, theirs) = (
      try TextFile.readJSON(scratch["out/adapter_config.json"]),
      try TextFile.readJSON(fixture("methods/\(name)/adapter_config.json"))
    )
    // Patterns are written by whole paths, and seeds beside places that are stored are PEFT's own affair.
    let others: Set = ["base_model_name_or_path", "peft_version", "target_modules", "n_frequency_pattern", "fan_in_fan_out"]
    for member in ours.members ?? [] where !others.contains(member.key) {
      guard let field = theirs[member.key] else { continue }
      #expect(member.value.double == field.double && (field.double != nil || member.value == field), "\(member.key)")
    }
    let (mine, trained) = (
      try SafetensorsFile(scratch["out/adapter_model.safetensors"]),
      try SafetensorsFile(fixture("methods/\(name)/adapter_model.safetensors"))
    )
    let copies = trained.tensors.map(\.name).filter {
      $0.hasPrefix("base_model.model.") && $0.hasSuffix("lora_A") || $0.hasSuffix("lora_B")
    }
    let names = Set(trained.tensors.map(\.name)).subtracting(copies.filter { $0.hasPrefix("base_model.model.") })
    #expect(Set(mine.tensors.map(\.name)) == names)
    for tensor in mine.tensors { #expect(try mine.floats(of: tensor.name) == trained.floats(of: tensor.name), "\(tensor.name)") }
    // As ours, and without our record as PEFT's.
    #expect(try read(scratch["out"], name).entry == stored.entry)
    let bare = JSON.object(try #require(ours.members).filter { $0.key != "swift_peft" })
    try WholeFile.write(bare.text(), to: scratch["out/adapter_config.json"])
    let again = try read(scratch["out"], name)
    #expect(try distance(again.adapter, name) < 2e-5)
  }

  @Test(
    "what a file lacks is made again as PEFT makes it",
    arguments: [
      ("llama-vera", ["vera_A", "vera_B"], ["save_projection": JSON.bool(false)]),
      ("llama-randlora", ["randlora_A", "randlora_B"], ["save_projection": false]),
      ("llama-shira", ["shira_indices"], [:]), ("llama-shira-default", ["shira_indices"], [:]),
    ] as [(String, [String], [String: JSON])])
  func makingAgain(_ name: String, _ tensors: [String], _ config: [String: JSON]) throws {
    let folder = try edited(name, config: config) { all in
      all.removeAll { tensor in tensors.contains { tensor.name.hasSuffix("." + $0) } }
    }
    let stored = try read(folder, name)
    #expect(try distance(stored.adapter, name) < 2e-5)
    #expect(stored.notes.contains { $0.contains("were made again") })
  }

  @Test("bases that stand at sites only, or there as well, are one") func copies() throws {
    let atSites = try edited("llama-randlora") { all in
      all.removeAll { ["base_model.randlora_A", "base_model.randlora_B"].contains($0.name) }
    }
    #expect(try distance(read(atSites, "llama-randlora").adapter, "llama-randlora") < 2e-5)
    try Folder.remove(atSites)
    let once = try edited("llama-randlora") { all in
      all.removeAll { $0.name.hasPrefix("base_model.model.") && ($0.name.hasSuffix("lora_A") || $0.name.hasSuffix("lora_B")) }
    }
    #expect(try distance(read(once, "llama-randlora").adapter, "llama-randlora") < 2e-5)
    try Folder.remove(once)
    let torn = try edited("llama-randlora") { all in
      for i in all.indices where all[i].name.hasSuffix("layers.1.self_attn.v_proj.randlora_B") { all[i].floats[3] += 1 }
    }
    #expect(
      message(scratch) { _ = try read(torn, "llama-randlora") }.contains(
        "layers.1.self_attn.v_proj.randlora_B' differs from 'base_model.randlora_B', though both are to be randlora_B"))
  }

  @Test(
    "what cannot be read is refused by name",
    arguments: [
      ("llama-vera", ["r": 5], "has shape [6, 27] (config and base call for [5, 27])"),
      // A size that would take long to draw.
      ("llama-vera-seed", ["r": 65536], "has shape [5] (config and base call for [65536])"),
      ("llama-vera", ["bias": "some"], "bias: is \"some\""),
      ("llama-waveft", ["wavelet_family": "coif5"], "coif5"),
      ("llama-waveft", ["n_frequency": 59], "neither n_frequency nor n_frequency_pattern says 60"),
      ("gpt2-fourierft", ["n_frequency": 51], "has shape [50] (config and base call for [51])"),
      ("llama-fourierft", ["scaling": 0], "scaling is 0"),
      ("gpt2-vera", ["peft_type": "SHIRA", "r": 1], "whose weight files hold transposed (PEFT has no SHIRA there)"),
    ] as [(String, [String: JSON], String)])
  func refusals(_ name: String, _ config: [String: JSON], _ said: String) throws {
    let folder = try edited(name, config: config)
    let heard = message(scratch) { _ = try read(folder, name) }
    #expect(heard.contains(said), "\(heard)")
  }

  @Test("files that lack tensors they are to hold, or places that nobody can make again") func missing() throws {
    let bare = try edited("llama-vera") { $0.removeAll { $0.name == "base_model.vera_A" } }
    #expect(message(scratch) { _ = try read(bare, "llama-vera") }.contains("lacks 'base_model.vera_A'"))
    try Folder.remove(bare)
    let masked = try edited("llama-shira", config: ["mask_type": "mine"]) {
      $0.removeAll { $0.name.hasSuffix("shira_indices") }
    }
    #expect(
      message(scratch) { _ = try read(masked, "llama-shira") }.contains(
        "lacks every shira_indices (mask_type is \"mine\", of which they cannot be made again)"))
  }

  @Test(
    "a transposed base, or options that PEFT does not have, get a type that it refuses",
    arguments: [
      ("shira", ["rank": .int(1)], "gpt2", "SWIFT_SHIRA"), ("shira", ["rank": .int(1)], "llama", "SHIRA"),
      ("shira", ["rank": .int(1), "scaling": .double(0.5)], "llama", "SWIFT_SHIRA"),
      ("shira", ["places": .string("rows"), "every": .int(4)], "llama", "SWIFT_SHIRA"),
      ("randlora", ["rank": .int(4), "pairing": .string("basis")], "llama", "SWIFT_RANDLORA"),
      ("randlora", ["rank": .int(4)], "llama", "RANDLORA"),
      ("fourierft", ["n_frequency": .int(20), "exact_start": .bool(true)], "llama", "FOURIERFT"),
    ] as [(String, [String: OptionValue], String, String)])
  func types(_ method: String, _ options: [String: OptionValue], _ family: String, _ type: String) throws {
    let model = try model(of: family)
    let entry = try registry.entry(method, overriding: options)
    let adapter = try drawnTrained(entry, on: model, offset: false)
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["out"])
    #expect(try TextFile.readJSON(scratch["out/adapter_config.json"])["peft_type"] == .string(type))
    #expect(try read(scratch["out"], family).entry == entry)
  }

  /// A method at its own places, what it trains drawn.
  private func drawnTrained(_ entry: MethodEntry, on model: any LanguageModel, offset: Bool) throws -> Adapter {
    let assembly = try registry.assemble(entry)
    let sites = try entry.defaultTargets.select(from: model.sites)
    let layout = try assembly.projection.layout(of: sites)
    var tensors = layout.filled(Moment(seed: 3))
    for spec in layout where assembly.trainable.contains(spec.role) {
      var random = Philox(key: 4).stream(spec.key.description)
      tensors[spec.key] = random.normal(spec.shape, deviation: 0.3)
    }
    return try Adapter(
      assembly, sites: sites, layout: layout, tensors: tensors, on: Bases { model.base($0) })
  }

  /// For `Fixtures/methods/check.py`, which lets PEFT load what is written here: adapters, and our logits beside them.
  @Test("adapters for PEFT to load", .enabled(if: getenv("PEFT_WRITE_ADAPTERS") != nil)) func forPEFT() throws {
    let folder = try #require(getenv("PEFT_WRITE_ADAPTERS").map { String(cString: $0) })
    let cases: [(name: String, method: String, options: [String: OptionValue])] = [
      ("llama-vera", "vera", ["rank": .int(9)]), ("gpt2-vera", "vera", ["rank": .int(9), "save_projection": .bool(false)]),
      ("llama-randlora", "randlora", ["rank": .int(7), "alpha": .int(5)]),
      ("gpt2-randlora", "randlora", ["rank": .int(3), "alpha": .int(2), "save_projection": .bool(false), "sparse": .bool(true)]),
      ("llama-shira", "shira", ["rank": .int(1)]), ("llama-fourierft", "fourierft", ["n_frequency": .int(30)]),
      ("gpt2-fourierft", "fourierft", ["n_frequency": .int(40), "n_frequency_pattern": .map(["h.0.attn.c_attn": .int(55)])]),
      ("llama-waveft", "waveft", ["n_frequency": .int(40), "wavelet": .string("coif2")]),
      ("gpt2-waveft", "waveft", ["n_frequency": .int(40), "proportional_parameters": .bool(true)]),
    ]
    let ids: [Int32] = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 32]
    for (name, method, options) in cases {
      let model = try model(of: name)
      let entry = try registry.entry(method, overriding: options)
      let adapter = try drawnTrained(entry, on: model, offset: false)
      let out = Folder.join(folder, name)
      try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: out)
      let logits = logits(ids, model, adapter)
      try SafetensorsWriter.write(
        [
          .init(name: "ids", shape: [2, 6], ints: ids.map { Int($0) }),
          .init(name: "logits", shape: [2, 6, logits.count / 12], floats: logits),
        ], to: Folder.join(out, "logits.safetensors"))
    }
  }
}
