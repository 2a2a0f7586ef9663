import AdapterFiles
import Blocks
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

@Suite("Writing adapters")
struct WriterTests {
  let scratch: Scratch
  let registry: MethodRegistry

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  @Test(
    "what is written is read back bit for bit",
    arguments: [
      ("lora", ["rank": .int(3), "alpha": .double(5)], false), ("rslora", ["rank": .int(5)], false),
      (
        "lora",
        [
          "bias": .bool(true), "rank_pattern": .map(["q_proj|c_attn": .int(2)]),
          "alpha_pattern": .map(["(v|c)_proj": .double(3)]),
        ],
        false
      ),
      ("lora-ga", ["rank": .int(4)], true), ("uni-lora", ["rank": .int(2)], false),
      ("uni-lora", ["exact_start": .bool(true)], true),
      ("uni-lora", ["save_indices": .bool(true)], false),
      ("uni-lora", ["index_generator": .string("numpy"), "theta_d_length": .int(40)], false),
      ("queryable-lora", ["rank": .int(4)], false),
    ] as [(String, [String: OptionValue], Bool)])
  func roundTrip(_ name: String, _ options: [String: OptionValue], _ hasOffset: Bool) throws {
    for family in ["llama", "gpt2"] {
      let model = try scratch.model(family)
      let entry = try registry.entry(name, overriding: options)
      let sites = model.sites("q_proj", "v_proj", "c_attn", "mlp.c_proj")
      let adapter = try drawn(entry, registry, on: sites, offset: hasOffset)
      let folder = scratch["\(family)-adapter"]
      try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: folder)
      let read = try AdapterReader.read(folder, for: model, registry: registry)
      #expect(read.entry == entry)
      #expect(read.adapter.sites == adapter.sites)
      for spec in adapter.layout {
        #expect(read.adapter.tensors[spec.key].floats == adapter.tensors[spec.key].floats)
        #expect(read.adapter.offset?.values[spec.key]?.floats == adapter.offset?.values[spec.key]?.floats)
      }
      #expect((read.adapter.offset != nil) == hasOffset)
      #expect(logits(model, read.adapter) == logits(model, adapter))
      #expect(read.notes.allSatisfy { $0.contains("made again") })
    }
  }

  @Test("a continued PEFT adapter keeps names, shapes and config; values are new", arguments: ["base_model.model.", ""])
  func continued(_ prefix: String) throws {
    let model = try scratch.model("llama")
    let folder = try scratch.adapter("llama", config: ["zeta": 1]) {
      for i in $0.indices { $0[i].name = $0[i].name.replacing("base_model.model.", with: prefix) }
    }
    let stored = try AdapterReader.read(folder, for: model, registry: registry)
    var adapter = stored.adapter
    for spec in adapter.layout { adapter.tensors[spec.key] = adapter.tensors[spec.key] * 2 }
    try AdapterWriter.write(
      adapter, entry: stored.entry, registry: registry, model: model, origin: stored.origin, to: scratch["out"])
    let (old, new) = (
      try SafetensorsFile(folder + "/adapter_model.safetensors"), try SafetensorsFile(scratch["out/adapter_model.safetensors"])
    )
    #expect(old.tensors.map { [$0.name, "\($0.shape)"] } == new.tensors.map { [$0.name, "\($0.shape)"] })
    for tensor in old.tensors { #expect(try new.floats(of: tensor.name) == old.floats(of: tensor.name).map { $0 * 2 }) }
    let (before, after) = (
      try TextFile.readJSON(folder + "/adapter_config.json"), try TextFile.readJSON(scratch["out/adapter_config.json"])
    )
    #expect(before.sorted == after)
    // Now the files say which base they belong to.
    #expect(
      try AdapterReader.read(scratch["out"], for: model, registry: registry).notes.allSatisfy { !$0.contains("fingerprint") })
  }

  @Test("index lists stay integers, and tensors that follow from others stay beside them")
  func indices() throws {
    let model = try scratch.model("llama")
    let entry = try registry.entry("uni-lora", overriding: ["save_indices": .bool(true), "index_generator": .string("numpy")])
    let adapter = try drawn(entry, registry, on: model.sites("q_proj"))
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["first"])
    // PEFT keeps the norms by entry as well.
    let first = try SafetensorsFile(scratch["first/adapter_model.safetensors"])
    let scales = first.tensors.filter { $0.name.contains("indices") }.map {
      SafetensorsWriter.Tensor(
        name: $0.name.replacing("indices", with: "scales"), shape: $0.shape, floats: [Float](repeating: 0.5, count: $0.count))
    }
    try Folder.create(scratch["peft"])
    try SafetensorsWriter.write(
      first.tensors.map { .init(copying: $0, of: first) } + scales, to: scratch["peft/adapter_model.safetensors"])
    let members = try #require(TextFile.readJSON(scratch["first/adapter_config.json"]).members).filter { $0.key != "swift_peft" }
    try WholeFile.write(JSON.object(members).text(), to: scratch["peft/adapter_config.json"])

    let read = try AdapterReader.read(scratch["peft"], for: model, registry: registry)
    #expect(logits(model, read.adapter) == logits(model, adapter))
    try AdapterWriter.write(
      read.adapter, entry: read.entry, registry: registry, model: model, origin: read.origin, to: scratch["second"])
    let (old, new) = (
      try SafetensorsFile(scratch["peft/adapter_model.safetensors"]),
      try SafetensorsFile(scratch["second/adapter_model.safetensors"])
    )
    #expect(old.tensors.map(\.name) == new.tensors.map(\.name))
    for tensor in old.tensors { #expect(try Array(old.bytes(of: tensor.name)) == Array(new.bytes(of: tensor.name))) }
    #expect(new.tensors.count { $0.dtype == .i64 } == 4)
  }

  @Test("the config has PEFT's fields, sorted and indented by two")
  func fields() throws {
    let model = try scratch.model("llama")
    let entry = try registry.entry(
      "rslora",
      overriding: [
        "rank": .int(4), "alpha": .double(12), "rank_pattern": .map(["layers.0.*q_proj": .int(2)]),
        "alpha_pattern": .map(["layers.1.*v_proj": .double(3)]),
      ])
    let adapter = try drawn(entry, registry, on: model.sites("q_proj", "v_proj"))
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["out"])
    let text = try TextFile.read(scratch["out/adapter_config.json"])
    let config = try JSON(parsing: text)
    #expect(text == config.sorted.text(indented: true) + "\n")
    let expected: [String: JSON] = [
      "peft_type": "LORA", "r": 4, "lora_alpha": 12, "use_rslora": true, "lora_dropout": 0.0, "lora_bias": false,
      "init_lora_weights": true, "bias": "none", "task_type": "CAUSAL_LM", "inference_mode": true, "fan_in_fan_out": false,
      "target_modules": ["q_proj", "v_proj"], "rank_pattern": ["model.layers.0.self_attn.q_proj": 2],
      "alpha_pattern": ["model.layers.1.self_attn.v_proj": 3], "base_model_name_or_path": .string(model.directory.path),
      "modules_to_save": .null,
    ]
    for (field, value) in expected { #expect(config[field] == value, "\(field)") }
    #expect(Set(config.members?.map(\.key) ?? []) == Set(expected.keys).union(["swift_peft"]))
  }

  @Test("target modules are as short as they can be")
  func targetNames() throws {
    let model = try scratch.model("gpt2")
    let entry = try registry.entry(named: "lora")
    for (sites, names) in [
      (model.sites("mlp.c_proj"), ["mlp.c_proj"]), (model.sites("c_proj"), ["c_proj"]),
      (model.sites("h.1.attn.c_attn"), ["1.attn.c_attn"]), (model.sites("lm_head"), ["lm_head"]),
    ] as [([Site], [String])] {
      try AdapterWriter.write(
        drawn(entry, registry, on: sites), entry: entry, registry: registry, model: model, existing: .replace, to: scratch["out"])
      let config = try TextFile.readJSON(scratch["out/adapter_config.json"])
      #expect(config["target_modules"] == .array(names.map(JSON.string)))
      #expect(config["fan_in_fan_out"] == .bool(names != ["lm_head"]))
    }
  }

  @Test(
    "PEFT is given a type it refuses where it would compute something else",
    arguments: [
      ("lora-ga", [:], true, "LORA_GA"), ("lora", [:], true, "SWIFT_LORA"), ("uni-lora", [:], false, "SWIFT_UNILORA"),
      ("queryable-lora", ["rank": .int(4)], false, "QUERYABLE_LORA"),
      ("uni-lora", ["index_generator": .string("numpy")], false, "UNILORA"),
    ] as [(String, [String: OptionValue], Bool, String)])
  func types(_ name: String, _ options: [String: OptionValue], _ hasOffset: Bool, _ type: String) throws {
    let model = try scratch.model("llama")
    let entry = try registry.entry(name, overriding: options)
    let adapter = try drawn(entry, registry, on: model.sites("q_proj"), offset: hasOffset)
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["out"])
    let config = try TextFile.readJSON(scratch["out/adapter_config.json"])
    #expect(config["peft_type"] == .string(type))
    let names = try SafetensorsFile(scratch["out/adapter_model.safetensors"]).tensors.map(\.name)
    #expect(names.contains { $0.hasSuffix("_init") } == hasOffset)
    if type == "UNILORA" {
      #expect(names == ["base_model.unilora_theta_d"])
      #expect(config["theta_d_length"] == .int(adapter.tensors["unilora_theta_d"].count))
      // Without our record, as PEFT would write it: the same adapter.
      let bare = JSON.object(try #require(config.members).filter { $0.key != "swift_peft" })
      try WholeFile.write(bare.text(), to: scratch["out/adapter_config.json"])
      let read = try AdapterReader.read(scratch["out"], for: model, registry: registry)
      #expect(logits(model, read.adapter) == logits(model, adapter))
    }
  }

  // MARK: What changed since

  private func written(_ model: any LanguageModel) throws -> String {
    let entry = try registry.entry("lora", overriding: ["rank": .int(2)])
    let folder = scratch["out"]
    try AdapterWriter.write(
      drawn(entry, registry, on: model.sites("q_proj")), entry: entry, registry: registry, model: model, to: folder)
    return folder
  }

  @Test("another base is refused")
  func otherBase() throws {
    let (model, other) = (try scratch.model("llama"), try scratch.model("llama", seed: 2))
    let folder = try written(model)
    let said = message(scratch) { _ = try AdapterReader.read(folder, for: other, registry: registry) }
    #expect(said.hasPrefix("out: the adapter was trained on another base than llama-2-own (fingerprint "))
    #expect(said.hasSuffix("; give the base it was trained on"))
  }

  @Test("changed tensors, scales and sites are noticed")
  func tampered() throws {
    let model = try scratch.model("llama")
    let folder = try written(model)
    let weights = folder + "/adapter_model.safetensors"
    let config = try TextFile.readJSON(folder + "/adapter_config.json")
    func said() -> String { message(scratch) { _ = try AdapterReader.read(folder, for: model, registry: registry) } }
    let bytes = try MappedFile(weights).withBytes { Array($0) }
    var flipped = bytes
    flipped[bytes.count - 1] ^= 1
    try WholeFile.write(flipped, to: weights)
    #expect(said().contains("is not what was written: its SHA-256 differs"))
    try WholeFile.write(bytes, to: weights)

    // Without the record the metadata still hold the scale.
    var members = try #require(config.members).filter { $0.key != "swift_peft" && $0.key != "lora_alpha" }
    members.append(.init("lora_alpha", 9))
    try WholeFile.write(JSON.object(members).text(), to: folder + "/adapter_config.json")
    #expect(
      said() == "out/adapter_config.json: gives 'model.layers.0.self_attn.q_proj' the scale 4.5 (its tensors were written with "
        + "4.0); restore rank, alpha and scaling as they were")
    let text = config.text().replacing("model.layers.1.self_attn.q_proj\"]", with: "model.layers.9.self_attn.q_proj\"]")
    try WholeFile.write(text, to: folder + "/adapter_config.json")
    #expect(said().contains("the adapter stands at 'model.layers.9.self_attn.q_proj', which this model does not have"))
  }

  @Test("nothing is half written, and nothing is overwritten unasked")
  func whole() throws {
    let model = try scratch.model("llama")
    let entry = try registry.entry(named: "lora")
    var adapter = try drawn(entry, registry, on: model.sites("q_proj"))
    let folder = try written(model)
    #expect(
      message(scratch) { try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: folder) }
        == "out: exists already; choose another name or remove it")
    let key = adapter.layout[1].key
    adapter.tensors[key] = Tensor(repeating: .nan, shape: adapter.tensors[key].shape)
    let before = try Folder.names(in: scratch.path)
    #expect(
      message(scratch) {
        try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, existing: .replace, to: folder)
      }.contains("lora_B.weight' is not finite and is not written"))
    #expect(try Folder.names(in: scratch.path) == before)
    _ = try AdapterReader.read(folder, for: model, registry: registry)
  }

  @Test("a method without adapter is refused")
  func full() throws {
    let model = try scratch.model("llama")
    let entry = try registry.entry(named: "full")
    let adapter = try Adapter(registry.assemble(entry), sites: [], layout: [], tensors: Tensors(), on: Bases(weights: [:]))
    #expect(
      message(scratch) { try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["out"]) }
        == "method full has no adapter to write; write the model instead")
  }
}
