import AdapterFiles
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

/// Adapters that PEFT wrote (see `Fixtures/peft/make.py`), and what the models compute with them.
struct PEFTCase: CustomTestStringConvertible, Sendable {
  let name: String
  var testDescription: String { name }

  var folder: String { fixture("peft/\(name)") }
  var base: String { fixture("peft/bases/\(name.split(separator: "-")[0])") }

  /// PEFT's logits [2, 10, vocabulary] for the ids beside them.
  func expected() throws -> [Float] { try SafetensorsFile(fixture("peft/logits.safetensors")).floats(of: name) }

  static func ids() throws -> [Int32] {
    try SafetensorsFile(fixture("peft/logits.safetensors")).ints(of: "ids").map { Int32($0) }
  }

  static func logits(_ model: any LanguageModel, _ adapter: Adapter?) throws -> [Float] {
    let ids = try ids()
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [10, 10]), sites: adapter?.sites ?? [])
    let run = ModelRun(pass: pass, attachment: adapter?.attached())
    return model.logits(model.hidden(ids, run), run).floats
  }

  static let all = [
    "llama-patterns", "llama-rslora-patterns", "llama-lora-bias", "llama-bias-all", "llama-bias-only", "llama-modules",
    "llama-embedding-saved", "llama-dora-bias", "llama-layers", "llama-regex", "llama-exclude", "llama-default", "llama-pissa",
    "llama-olora", "llama-mica", "llama-pissa-converted", "tied-head-saved", "tied-embedding-saved", "tied-both-saved",
    "gpt2-conv", "gpt2-bias-all", "gpt2-bias-only", "gpt2-bias-all-modules", "gpt2-all", "gpt2-default", "gpt2-dora",
    "gpt2-pissa",
    "llama-embedding", "tied-embedding", "gpt2-embedding", "llama-tokens", "tied-tokens",
  ].map { PEFTCase(name: $0) }
}

/// The largest difference, as a share of the largest of `b` where that is over 1.
private func distance(_ a: [Float], _ b: [Float]) -> Float { largestDifference(a, b) / max(1, b.map(abs).max() ?? 0) }

@Suite("PEFT's own files, by its own numbers")
struct PEFTParityTests {
  let scratch: Scratch
  let registry: MethodRegistry

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  @Test("the model with PEFT's adapter computes what PEFT computes", arguments: PEFTCase.all)
  func logits(_ example: PEFTCase) throws {
    let model = try ModelLoader.load(example.base)
    let stored = try AdapterReader.read(example.folder, for: model, registry: registry)
    let expected = try example.expected()
    let off = distance(try PEFTCase.logits(model, stored.adapter), expected)
    #expect(off < 4e-6, "\(off)")
    #expect(distance(try PEFTCase.logits(model, nil), expected) > 1e-3)
  }

  @Test("written and read again it is the same; continued, PEFT's names and fields stay", arguments: PEFTCase.all)
  func roundTrip(_ example: PEFTCase) throws {
    let model = try ModelLoader.load(example.base)
    let stored = try AdapterReader.read(example.folder, for: model, registry: registry)
    let logits = try PEFTCase.logits(model, stored.adapter)
    try AdapterWriter.write(stored.adapter, entry: stored.entry, registry: registry, model: model, to: scratch["own"])
    let own = try AdapterReader.read(scratch["own"], for: model, registry: registry)
    #expect(try PEFTCase.logits(model, own.adapter) == logits)
    #expect(own.entry == stored.entry)

    guard stored.origin != nil else {
      // Rows of a table have become the table.
      #expect(example.name.hasSuffix("tokens"))
      return
    }
    try AdapterWriter.write(
      stored.adapter, entry: stored.entry, registry: registry, model: model, origin: stored.origin, to: scratch["kept"])
    let names = ["adapter_config.json", "adapter_model.safetensors"]
    let before = try TextFile.readJSON(example.folder + "/" + names[0])
    #expect(try TextFile.readJSON(scratch["kept/" + names[0]]) == before.sorted)
    let (old, new) = (try SafetensorsFile(example.folder + "/" + names[1]), try SafetensorsFile(scratch["kept/" + names[1]]))
    #expect(Set(old.tensors.map(\.name)) == Set(new.tensors.map(\.name)))
    for tensor in old.tensors { #expect(try old.floats(of: tensor.name) == new.floats(of: tensor.name)) }
  }

  @Test("exported as a plain LoRA, and merged, it computes the same", arguments: PEFTCase.all)
  func exports(_ example: PEFTCase) throws {
    let model = try ModelLoader.load(example.base)
    let stored = try AdapterReader.read(example.folder, for: model, registry: registry)
    let expected = try example.expected()
    // With a bias on B, maps without one of their own cannot take it.
    if !example.name.contains("lora-bias") {
      try Merging.merge(stored.adapter, into: model, to: scratch["merged"])
      #expect(distance(try PEFTCase.logits(ModelLoader.load(scratch["merged"]), nil), expected) < 4e-6)
    }
    // A change of DoRA's has full rank.
    let rank: Int? = example.name.contains("dora") ? 64 : nil
    try LoRAExport.write(stored.adapter, of: model, rank: rank, to: scratch["plain"])
    let plain = try AdapterReader.read(scratch["plain"], for: model, registry: registry)
    #expect(distance(try PEFTCase.logits(model, plain.adapter), expected) < 4e-6)
    #expect(try TextFile.readJSON(scratch["plain/adapter_config.json"])["init_lora_weights"] == true)
  }

  @Test("a randomised start is rebuilt exactly, with a word")
  func randomised() throws {
    let example = PEFTCase(name: "llama-pissa-niter")
    let stored = try AdapterReader.read(example.folder, for: ModelLoader.load(example.base), registry: registry)
    #expect(stored.adapter.offset != nil)
    #expect(stored.notes.contains { $0.contains("'pissa_niter_16' drew a base near the one") })
  }

  @Test("olora on GPT-2's maps is refused: PEFT takes the transpose apart")
  func transposedOLoRA() throws {
    let source = PEFTCase(name: "gpt2-pissa")
    let folder = try scratch.adapter("peft/gpt2-pissa", config: ["init_lora_weights": "olora"])
    let heard = message(scratch) { _ = try AdapterReader.read(folder, for: ModelLoader.load(source.base), registry: registry) }
    #expect(heard.contains("'olora' changes the base at transformer.h.0.attn.c_attn by a decomposition of its transpose in PEFT"))
  }

  @Test("what moves is what the files bring: biases by site or all, modules by the ends of their paths")
  func trainedNames() throws {
    func names(_ name: String) throws -> [String] {
      let example = PEFTCase(name: name)
      return try AdapterReader.read(example.folder, for: ModelLoader.load(example.base), registry: registry).adapter.trained.keys
        .sorted()
    }
    #expect(try names("llama-bias-only") == (0..<3).map { "model.layers.\($0).self_attn.q_proj.bias" })
    #expect(try names("llama-bias-all").count == 12)
    // `norm` ends the names of the layers' norms as well, as PEFT reads it.
    var norms = ["lm_head.weight", "model.layers.2.mlp.down_proj.weight", "model.norm.weight"]
    for layer in 0..<3 {
      for norm in ["input", "post_attention"] { norms.append("model.layers.\(layer).\(norm)_layernorm.weight") }
    }
    #expect(try names("llama-modules") == norms.sorted())
    // The head is the table, and stays what it was.
    #expect(try names("tied-embedding-saved") == ["lm_head.weight", "model.embed_tokens.weight"])
  }

  @Test("tensors of the base that are missing, of another shape, or unknown")
  func damaged() throws {
    let model = try ModelLoader.load(fixture("peft/bases/llama"))
    func heard(_ name: String, _ config: [String: JSON] = [:], _ edit: (inout [StoredTensor]) -> Void) throws -> String {
      let folder = try scratch.adapter("peft/\(name)", config: config, edit)
      return message(scratch) { _ = try AdapterReader.read(folder, for: model, registry: registry) }
    }
    let head = "base_model.model.lm_head.weight"
    #expect(try heard("llama-modules") { $0.removeAll { $0.name == head } }.contains("lacks '\(head)'"))
    #expect(
      try heard("llama-modules") { for i in $0.indices where $0[i].name == head { $0[i].shape = [16, 48] } }
        .contains("tensor '\(head)' has shape [16, 48] (config and base call for [48, 16])"))
    #expect(
      try heard("llama-modules", ["modules_to_save": ["norm", "layers.2.mlp.down_proj"]]) { _ in }
        .contains("tensor '\(head)' is not the base's own lm_head.weight"))
    #expect(try heard("llama-modules", ["modules_to_save": "lm_head"]) { _ in }.contains("modules_to_save: is no list of names"))
    #expect(try heard("llama-bias-all", ["bias": "some"]) { _ in }.contains("bias: is \"some\"; known: none, all, lora_only"))
    let bias = "base_model.model.model.layers.1.self_attn.q_proj.base_layer.bias"
    #expect(try heard("llama-bias-only") { $0.removeAll { $0.name == bias } }.contains("lacks '\(bias)'"))
  }

  @Test("names of saved modules as the running model has them, and of DoRA's lengths with a weight behind")
  func spellings() throws {
    let model = try ModelLoader.load(fixture("peft/bases/llama"))
    for (name, from, to) in [
      ("llama-modules", "lm_head.weight", "lm_head.modules_to_save.default.weight"),
      ("llama-modules", "lm_head.weight", "lm_head.modules_to_save.weight"),
      ("llama-dora-bias", "lora_magnitude_vector", "lora_magnitude_vector.default.weight"),
    ] {
      let folder = try scratch.adapter("peft/\(name)") {
        for i in $0.indices { $0[i].name = $0[i].name.replacing(from, with: to) }
      }
      let read = try AdapterReader.read(folder, for: model, registry: registry).adapter
      #expect(distance(try PEFTCase.logits(model, read), try PEFTCase(name: name).expected()) < 4e-6)
    }
  }

  @Test("sites without tensors and tensors without a site, where that is allowed")
  func tolerance() throws {
    let model = try ModelLoader.load(fixture("peft/bases/llama"))
    let folder = try scratch.adapter("peft/llama-default") { tensors in
      tensors.removeAll { $0.name.contains("layers.1.self_attn.q_proj.lora_B") }
      tensors.append(StoredTensor(name: "base_model.model.vision.lora_A.weight", shape: [1], floats: [0]))
    }
    let read = try AdapterReader.read(folder, for: model, registry: registry, allowing: [.missing, .extra])
    #expect(read.adapter.sites.count == 5)
    #expect(read.notes.contains("the file lacks tensors of 'model.layers.1.self_attn.q_proj': no adapter stands there"))
    #expect(read.notes.contains { $0.contains("vision.lora_A.weight'") && $0.hasSuffix("which belong nowhere") })
    for allowed in [AdapterReader.Tolerance.missing, .extra] {
      #expect(throws: FileError.self) { try AdapterReader.read(folder, for: model, registry: registry, allowing: allowed) }
    }
  }
}
