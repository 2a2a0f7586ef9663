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

/// Files that mlx-lm and the gguf package wrote; see `make.py` beside them.
@Suite("mlx-lm's files and llama.cpp's")
struct OtherProgramsTests {
  let scratch: Scratch
  let registry: MethodRegistry

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  private func base(_ name: String) throws -> any LanguageModel {
    try ModelLoader.load(fixture("peft/bases/\(name.split(separator: "-")[0])"))
  }

  private func distance(_ a: [Float], _ b: [Float]) -> Float { largestDifference(a, b) / max(1, b.map(abs).max() ?? 0) }

  // MARK: mlx-lm

  static let mlx = ["llama-lora", "llama-every", "llama-dora", "llama-head", "gpt2-lora", "llama-embedding"]

  @Test("the model with mlx-lm's adapter computes what mlx-lm computes; written again, mlx-lm's tensors come out", arguments: mlx)
  func readsMLX(_ name: String) throws {
    let (model, folder) = (try base(name), fixture("mlx/\(name)"))
    let stored = try AdapterReader.read(folder, for: model, registry: registry)
    let expected = try SafetensorsFile(fixture("mlx/logits.safetensors")).floats(of: name)
    #expect(distance(try PEFTCase.logits(model, stored.adapter), expected) < 4e-6)
    #expect(stored.origin == nil && stored.notes.count == 1)
    try MLXWriter.write(stored.adapter, of: model, to: scratch["again"])
    let (old, new) = (
      try SafetensorsFile(folder + "/adapters.safetensors"), try SafetensorsFile(scratch["again/adapters.safetensors"])
    )
    #expect(Set(old.tensors.map(\.name)) == Set(new.tensors.map(\.name)))
    for tensor in old.tensors {
      #expect(try old.floats(of: tensor.name) == new.floats(of: tensor.name))
      #expect(new.entry(tensor.name)?.shape == tensor.shape)
    }
    let (before, after) = (
      try TextFile.readJSON(folder + "/adapter_config.json"), try TextFile.readJSON(scratch["again/adapter_config.json"])
    )
    #expect(before["fine_tune_type"] == after["fine_tune_type"])
    for key in ["rank", "scale"] { #expect(before["lora_parameters"]?[key]?.double == after["lora_parameters"]?[key]?.double) }
    let again = try AdapterReader.read(scratch["again"], for: model, registry: registry)
    #expect(try PEFTCase.logits(model, again.adapter) == PEFTCase.logits(model, stored.adapter))
  }

  @Test("several ranks and scales become one: zeros fill up, scales go into b")
  func foldsMLX() throws {
    let example = PEFTCase(name: "llama-patterns")
    let model = try base(example.name)
    let stored = try AdapterReader.read(example.folder, for: model, registry: registry)
    try MLXWriter.write(stored.adapter, of: model, to: scratch["mlx"])
    let file = try SafetensorsFile(scratch["mlx/adapters.safetensors"])
    #expect(file.tensors.allSatisfy { $0.shape.contains(4) })
    let config = try TextFile.readJSON(scratch["mlx/adapter_config.json"])
    #expect(config["lora_parameters"]?["rank"] == 4)
    #expect(config["lora_parameters"]?["keys"] == ["mlp.down_proj", "self_attn.q_proj", "self_attn.v_proj"])
    #expect(config["num_layers"] == 3)
    let again = try AdapterReader.read(scratch["mlx"], for: model, registry: registry)
    #expect(distance(try PEFTCase.logits(model, again.adapter), try example.expected()) < 2e-6)
    // One layer has less than the others: whole paths say which.
    let partly = PEFTCase(name: "llama-exclude")
    let other = try AdapterReader.read(partly.folder, for: model, registry: registry)
    try MLXWriter.write(other.adapter, of: model, to: scratch["partly"])
    let keys = try TextFile.readJSON(scratch["partly/adapter_config.json"])["lora_parameters"]?["keys"]?.array
    #expect(keys?.count == 17 && keys?.first == "model.layers.0.mlp.down_proj")
  }

  @Test(
    "what mlx-lm has no place for is refused",
    arguments: [
      ("llama-bias-all", "mlx-lm's layout has no place for model.layers.0.self_attn.k_proj.bias, which is trained in full"),
      ("llama-lora-bias", "mlx-lm's layout has no place for the bias that the adapter adds at model.layers.0.self_attn.q_proj"),
    ])
  func refusesMLX(_ name: String, _ said: String) throws {
    let model = try base(name)
    let stored = try AdapterReader.read(PEFTCase(name: name).folder, for: model, registry: registry)
    let heard = message(scratch) { try MLXWriter.write(stored.adapter, of: model, to: scratch["out"]) }
    #expect(heard.hasPrefix(said))
    #expect(!Folder.exists(scratch["out"]))
  }

  @Test("mlx-lm directories that are damaged, or no adapters")
  func damagedMLX() throws {
    let model = try base("llama")
    func heard(_ config: JSON, _ edit: (inout [StoredTensor]) -> Void = { _ in }) throws -> String {
      let file = try SafetensorsFile(fixture("mlx/llama-lora/adapters.safetensors"))
      var tensors = try file.tensors.map { StoredTensor(name: $0.name, shape: $0.shape, floats: try file.floats(of: $0.name)) }
      edit(&tensors)
      try Folder.create(scratch["mlx"])
      try WholeFile.write(config.text(), to: scratch["mlx/adapter_config.json"])
      try SafetensorsWriter.write(
        tensors.map { .init(name: $0.name, shape: $0.shape, floats: $0.floats) }, to: scratch["mlx/adapters.safetensors"])
      return message(scratch) { _ = try AdapterReader.read(scratch["mlx"], for: model, registry: registry) }
    }
    let sound: JSON = ["num_layers": 2, "lora_parameters": ["rank": 3, "scale": 2.5]]
    #expect(try heard(sound) == "nothing was thrown")
    #expect(try heard(["fine_tune_type": "full"]).contains("fine_tune_type: 'full' files hold whole weights"))
    #expect(try heard(["fine_tune_type": "lora"]).contains("has no lora_parameters"))
    #expect(try heard(["lora_parameters": ["rank": 3, "alpha": 6]]).contains("has no scale; mlx-lm has no alpha"))
    #expect(
      try heard(["lora_parameters": ["rank": 4, "scale": 2.5]]).contains("shape [16, 3] (config and base call for [16, 4])"))
    #expect(try heard(["num_layers": 1, "lora_parameters": ["rank": 3, "scale": 1]]).contains("do not choose it"))
    #expect(
      try heard(["num_layers": 2, "lora_parameters": ["rank": 3, "scale": 1, "keys": ["self_attn.q_proj"]]]).contains(
        "do not choose it"))
    #expect(try heard(sound) { $0.removeLast() }.contains("lacks '"))
    #expect(
      try heard(sound) { $0.append(StoredTensor(name: "model.layers.1.moe.lora_a", shape: [1], floats: [0])) }.contains(
        "has no place for 'model.layers.1.moe.lora_a'"))
    #expect(try heard(sound) { $0[0].floats[1] = .infinity }.contains("is not finite"))
    try Folder.remove(scratch["mlx/adapters.safetensors"])
    let absent = message(scratch) { _ = try AdapterReader.read(scratch["mlx"], for: model, registry: registry) }
    #expect(absent.contains("has no adapters.safetensors"))
  }

  // MARK: llama.cpp

  @Test(
    "the model with a file of llama.cpp's computes what PEFT computes with what it was made from",
    arguments: [
      ("llama.gguf", "llama-exclude", 2e-6), ("llama-f16.gguf", "llama-exclude", 2e-3), ("gpt2.gguf", "gpt2-all", 2e-6),
      ("llama-embedding.gguf", "llama-embedding", 2e-6),
    ])
  func readsGGUF(_ name: String, _ origin: String, _ bound: Float) throws {
    let model = try base(name.split(separator: ".")[0] + "-")
    let stored = try AdapterReader.read(fixture("gguf/\(name)"), for: model, registry: registry)
    #expect(distance(try PEFTCase.logits(model, stored.adapter), try PEFTCase(name: origin).expected()) < bound)
  }

  @Test(
    "what is written has the numbers and names of the converter's file",
    arguments: [("llama.gguf", "llama-exclude"), ("gpt2.gguf", "gpt2-all"), ("llama-embedding.gguf", "llama-embedding")])
  func writesGGUF(_ name: String, _ origin: String) throws {
    let example = PEFTCase(name: origin)
    let model = try base(origin)
    let stored = try AdapterReader.read(example.folder, for: model, registry: registry)
    try GGUFAdapterWriter.write(stored.adapter, of: model, to: scratch["a.gguf"])
    let (ours, theirs) = (try GGUFFile(scratch["a.gguf"]), try GGUFFile(fixture("gguf/\(name)")))
    #expect(ours.metadata == theirs.metadata)
    #expect(Set(ours.tensors.map(\.name)) == Set(theirs.tensors.map(\.name)))
    for tensor in theirs.tensors {
      let own = try #require(ours.tensors.first { $0.name == tensor.name })
      #expect(own.extents == tensor.extents)
      #expect(ours.floats(of: own) == theirs.floats(of: tensor))
    }
    let heard = message(scratch) { try GGUFAdapterWriter.write(stored.adapter, of: model, to: scratch["a.gguf"]) }
    #expect(heard == "a.gguf: exists already; write to another name, or overwrite it")
    try GGUFAdapterWriter.write(stored.adapter, of: model, overwrites: true, to: scratch["a.gguf"])
  }

  @Test("other scales than one alpha gives go into B", arguments: ["llama-patterns", "llama-rslora-patterns", "llama-pissa"])
  func foldsGGUF(_ name: String) throws {
    let example = PEFTCase(name: name)
    let model = try base(name)
    let stored = try AdapterReader.read(example.folder, for: model, registry: registry)
    try GGUFAdapterWriter.write(stored.adapter, of: model, to: scratch["a.gguf"])
    let again = try AdapterReader.read(scratch["a.gguf"], for: model, registry: registry)
    #expect(distance(try PEFTCase.logits(model, again.adapter), try example.expected()) < 4e-6)
  }

  @Test(
    "what llama.cpp has no place for is refused",
    arguments: [
      ("llama-bias-all", "GGUF has no place for model.layers.0.self_attn.k_proj.bias, which is trained in full"),
      ("llama-modules", "GGUF has no place for lm_head.weight, which is trained in full"),
      ("llama-lora-bias", "GGUF has no place for the bias that the adapter adds at model.layers.0.self_attn.q_proj"),
      ("gpt2-dora", "GGUF has no place for the lengths of DoRA's rows"),
      ("tied-embedding", "GGUF means the head as well with model.embed_tokens, which is the same table here"),
      ("gpt2-embedding", "GGUF means the head as well with transformer.wte, which is the same table here"),
    ])
  func refusesGGUF(_ name: String, _ said: String) throws {
    let model = try base(name)
    let stored = try AdapterReader.read(PEFTCase(name: name).folder, for: model, registry: registry)
    let heard = message(scratch) { try GGUFAdapterWriter.write(stored.adapter, of: model, to: scratch["a.gguf"]) }
    #expect(heard.hasPrefix(said))
    #expect(!Folder.exists(scratch["a.gguf"]))
  }

  @Test("GGUF files for another family, of another kind, or with tensors that belong nowhere")
  func strangeGGUF() throws {
    let model = try base("llama")
    typealias Pair = (key: String, value: GGUFValue)
    let sound: [Pair] = [
      ("general.architecture", .string("llama")), ("general.type", .string("adapter")), ("adapter.type", .string("lora")),
      ("adapter.lora.alpha", .float32(4)),
    ]
    let a = GGUFWriter.Tensor(name: "blk.0.attn_q.weight.lora_a", extents: [16, 2], floats: .init(repeating: 0.5, count: 32))
    let b = GGUFWriter.Tensor(name: "blk.0.attn_q.weight.lora_b", extents: [2, 16], floats: .init(repeating: 0.5, count: 32))
    func heard(_ pairs: [Pair], _ tensors: [GGUFWriter.Tensor]) throws -> String {
      try GGUFWriter.write(pairs, tensors, to: scratch["s.gguf"])
      return message(scratch) { _ = try AdapterReader.read(scratch["s.gguf"], for: model, registry: registry) }
    }
    func with(_ key: String, _ value: GGUFValue) -> [Pair] { sound.filter { $0.key != key } + [(key, value)] }
    #expect(try heard(sound, [a, b]) == "nothing was thrown")
    #expect(
      try heard(with("general.architecture", .string("gpt2")), [a, b])
        == "s.gguf: general.architecture: is 'gpt2', not 'llama'; give the base it was trained on")
    #expect(try heard(with("general.type", .string("model")), [a, b]).contains("general.type: is 'model', not 'adapter'"))
    #expect(try heard(with("adapter.lora.alpha", .string("x")), [a, b]).contains("adapter.lora.alpha: is no number"))
    #expect(
      try heard(with("adapter.alora.invocation_tokens", .array([.uint32(1)])), [a, b]).contains(
        "adapter.alora.invocation_tokens: adapters that begin at a token are not supported"))
    #expect(try heard(sound, [a]).contains("lacks 'blk.0.attn_q.weight.lora_b'"))
    #expect(
      try heard(sound, [a, b, .init(name: "blk.9.attn_q.weight.lora_a", extents: [1], floats: [1])]).contains("has no place for"))
    #expect(
      try heard(sound, [a, .init(name: b.name, extents: [2, 8], floats: .init(repeating: 1, count: 16))]).contains(
        "has shape [8, 2] (rank and base call for [16, 2])"))
    #expect(try heard(sound, []).contains("adapts nothing"))
    // Without an alpha the factors count as they are.
    try GGUFWriter.write(sound.filter { $0.key != "adapter.lora.alpha" }, [a, b], to: scratch["s.gguf"])
    let read = try AdapterReader.read(scratch["s.gguf"], for: model, registry: registry).adapter
    #expect(read.parameterization.projection.scale(at: read.sites[0]) == 1)
  }
}
