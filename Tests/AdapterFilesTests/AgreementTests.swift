import AdapterFiles
import Catalog
import Files
import JSON
import Models
import Registry
import Testing

@Suite("What an adapter's files say twice")
struct AgreementTests {
  let scratch: Scratch
  let registry: MethodRegistry
  let model: any LanguageModel

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
    model = try scratch.model("llama")
  }

  private func said(_ folder: String) -> String {
    message(scratch) { _ = try AdapterReader.read(folder, for: model, registry: registry) }
  }

  @Test(
    "fields of PEFT's that were edited beside the record",
    arguments: [
      ("lora_alpha", 64, "16"), ("r", 16, "8"), ("use_rslora", true, "false"), ("peft_type", "UNILORA", "\"LORA\""),
      ("rank_pattern", ["model.layers.0.self_attn.q_proj": 2], "{}"), ("target_modules", ["q_proj"], "[\"q_proj\", \"v_proj\"]"),
    ] as [(String, JSON, String)])
  func edited(_ field: String, _ value: JSON, _ recorded: String) throws {
    let entry = try registry.entry("lora", overriding: ["rank": .int(8), "alpha": .int(16)])
    let adapter = try drawn(entry, registry, on: model.sites("q_proj", "v_proj"))
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["a"])
    let path = scratch["a/adapter_config.json"]
    let members = try #require(TextFile.readJSON(path).members)
    func put(_ name: String, _ value: JSON?) throws {
      let others = members.filter { $0.key != name }
      try WholeFile.write(JSON.object(others + (value.map { [.init(name, $0)] } ?? [])).text(), to: path)
    }
    try put(field, value)
    #expect(
      said(scratch["a"])
        == "a/adapter_config.json: \(field): is \(value.text()) (the record under swift_peft says \(recorded)); "
        + "put \(field) back to \(recorded): an adapter is changed by training it anew, not in this file")
    // What means the same is the same.
    try put("lora_alpha", 16.0)
    _ = try AdapterReader.read(scratch["a"], for: model, registry: registry)
    try put("target_modules", ["v_proj", "q_proj"])
    _ = try AdapterReader.read(scratch["a"], for: model, registry: registry)
    try put(field, nil)
    _ = try AdapterReader.read(scratch["a"], for: model, registry: registry)
  }

  @Test("weights of the base in an adapter's file are passed over where they are the base's")
  func copies() throws {
    let table = try #require(model.parameters.first { $0.name.hasSuffix("embed_tokens.weight") })
    let values = model.parameter(table.name).floats
    let base = "base_model.model."
    let names = [base + table.name, base + "lm_head.base_layer.weight"]
    let head = try #require(model.sites.last)
    let folder = try scratch.adapter("llama") { tensors in
      tensors.append(StoredTensor(name: names[0], shape: table.shape, floats: values))
      tensors.append(
        StoredTensor(
          name: names[1], shape: [head.outputs, head.inputs], floats: model.base(head.id).weight(as: .float32).floats))
    }
    let stored = try AdapterReader.read(folder, for: model, registry: registry)
    #expect(stored.notes.contains("passed over '\(names[1])', '\(names[0])': the base's own weights"), "\(stored.notes)")
    // A run that continues it writes them back: PEFT looks for them.
    try AdapterWriter.write(
      stored.adapter, entry: stored.entry, registry: registry, model: model, origin: stored.origin, to: scratch["b"])
    let written = try SafetensorsFile(scratch["b/adapter_model.safetensors"])
    #expect(try written.floats(of: names[0]) == values && written.entry(names[1]) != nil)

    let trained = try scratch.adapter("llama") { tensors in
      var values = values
      values[7] += 1
      tensors.append(
        StoredTensor(name: names[0].replacing(".weight", with: ".base_layer.weight"), shape: table.shape, floats: values))
    }
    #expect(
      said(trained)
        == "edited/adapter_model.safetensors: tensor '\(base)model.embed_tokens.base_layer.weight' is not the base's own "
        + "\(table.name) (its shape is \(table.shape): it was trained or resized, or belongs to another base); "
        + "give the base it was trained on, or merge the adapter in PEFT")
  }

  @Test("an adapter further below is named")
  func below() throws {
    let folder = try scratch.adapter("llama")
    try Folder.create(scratch["named/other"])
    for name in try Folder.names(in: folder) {
      try WholeFile.write(
        MappedFile(folder + "/" + name).withBytes { Array($0) }, to: scratch["named/other/" + name])
    }
    #expect(said(scratch["named"]) == "named: has no adapter_config.json (its folder other has one); give named/other")
  }
}
