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

@Suite("Merging")
struct MergingTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  @Test("merged and adapted model compute the same", arguments: families, [false, true])
  func same(_ family: String, _ hasOffset: Bool) throws {
    let model = try scratch.model(family)
    // Every linear map in the layers: GPT-2's square attention output, too, where a wrong orientation would not show in shapes.
    let sites = model.sites.filter { $0.layer != nil }
    let adapter = try lowRank(LowRank(rank: 4, alpha: 6, scaling: .rslora), on: sites, offset: hasOffset)
    let report = try Merging.merge(adapter, into: model, to: scratch["merged"])
    let merged = try ModelLoader.load(scratch["merged"])
    let (base, adapted) = (logits(model), logits(model, adapter))
    #expect(largestDifference(base, adapted) > 0.05)
    #expect(largestDifference(logits(merged), adapted) < 2e-5)
    #expect(report.sites.map(\.path) == sites.map(\.id.path))
    let dense = try adapter.change(at: sites[0]).dense(on: model.base(sites[0].id).weight(as: .float64))
    #expect(abs(report.sites[0].largestChange - dense.largestMagnitude) < 1e-6)
    // All else is the base's, byte for byte.
    let touched = Set(sites.map { $0.id.path + ".weight" })
    for name in model.directory.tensorNames where !touched.contains(name) {
      #expect(try Array(merged.directory.bytes(of: name)) == Array(model.directory.bytes(of: name)))
    }
    #expect(merged.directory.tensorNames == model.directory.tensorNames)
  }

  @Test("the sum is made in double and rounded once", arguments: [StoredType.bf16, .f16, .f32])
  func rounding(_ type: StoredType) throws {
    let model = try scratch.model("llama", dtype: type)
    let site = model.sites("layers.0.self_attn.q_proj")[0]
    let adapter = try lowRank(LowRank(rank: 3, alpha: 1), on: [site])
    try Merging.merge(adapter, into: model, to: scratch["merged"])
    let merged = try ModelLoader.load(scratch["merged"])
    let name = site.id.path + ".weight"
    let (w, a, b) = (
      model.parameter(name).values, adapter.tensors["lora_A.weight", site.id].values,
      adapter.tensors["lora_B.weight", site.id].values
    )
    let stored = merged.parameter(name).floats
    #expect(merged.directory.entry(name)?.dtype == type)
    for i in w.indices {
      let (row, column) = (i / site.inputs, i % site.inputs)
      let sum = w[i] + (0..<3).reduce(0.0) { $0 + b[row * 3 + $1] * a[$1 * site.inputs + column] } / 3
      // No neighbour in the type is nearer.
      let error = abs(Double(stored[i]) - sum)
      let unit: Double =
        switch type {
        case .bf16: 0x1p-8;
        case .f16: 0x1p-11;
        default: 0x1p-24
        }
      #expect(error <= max(unit * sum.binade.magnitude, 0x1p-25) * (1 + 1e-6))
    }
  }

  @Test("a bias goes into the base's, and is refused where there is none")
  func bias() throws {
    let gpt2 = try scratch.model("gpt2")
    let adapter = try lowRank(LowRank(rank: 2, alpha: 4, hasBias: true), on: gpt2.sites("attn.c_proj"))
    try Merging.merge(adapter, into: gpt2, to: scratch["merged"])
    #expect(largestDifference(logits(try ModelLoader.load(scratch["merged"])), logits(gpt2, adapter)) < 2e-5)
    let llama = try scratch.model("llama")
    let other = try lowRank(LowRank(rank: 2, alpha: 4, hasBias: true), on: llama.sites("q_proj"))
    #expect(
      message(scratch) { _ = try Merging.merge(other, into: llama, to: scratch["no"]) }
        == "the adapter adds a bias at model.layers.0.self_attn.q_proj, where the base has none; keep the adapter beside its "
        + "base, or export it")
    #expect(!Folder.exists(scratch["no"]))
  }

  @Test(
    "a head that shares the embedding table becomes one of its own",
    arguments: [
      ("gpt2", "transformer.wte.weight"), ("qwen2", "model.embed_tokens.weight"), ("gemma2", "model.embed_tokens.weight"),
    ])
  func head(_ family: String, _ name: String) throws {
    let model = try scratch.model(family)
    let adapter = try lowRank(LowRank(rank: 2, alpha: 4), on: model.sites("lm_head"))
    let report = try Merging.merge(adapter, into: model, to: scratch["merged"])
    let merged = try ModelLoader.load(scratch["merged"])
    #expect(largestDifference(logits(merged), logits(model, adapter)) < 2e-5)
    #expect(merged.directory.config["tie_word_embeddings"] == false)
    #expect(report.notes == ["lm_head shared the embedding table; the merged model has a head of its own"])
    #expect(merged.parameter(name).floats == model.parameter(name).floats)
  }

  @Test("another number type shows in the config, and tokenizer files come along")
  func companions() throws {
    let model = try scratch.model("llama")
    let base = model.directory.path
    try WholeFile.write("{\"a\":1}", to: base + "/tokenizer.json")
    try WholeFile.write("{}", to: base + "/generation_config.json")
    try WholeFile.write("x", to: base + "/training.log")
    let adapter = try lowRank(LowRank(rank: 2, alpha: 4), on: model.sites("q_proj"))
    try Merging.merge(adapter, into: model, dtype: .bf16, to: scratch["merged"])
    #expect(
      try Folder.names(in: scratch["merged"])
        == ["config.json", "generation_config.json", "merge_record.json", "model.safetensors", "tokenizer.json"])
    #expect(try TextFile.read(scratch["merged/tokenizer.json"]) == "{\"a\":1}")
    let merged = try ModelLoader.load(scratch["merged"])
    #expect(merged.directory.config["dtype"] == "bfloat16")
    #expect(merged.parameters.allSatisfy { $0.type == .bf16 })
    #expect(largestDifference(logits(merged), logits(model, adapter)) < 0.05)
  }

  @Test("refusals: input-dependent methods, values that do not fit, the base itself")
  func refusals() throws {
    let model = try scratch.model("llama")
    let registry = try Catalog.registry()
    let entry = try registry.entry("queryable-lora", overriding: ["rank": .int(4)])
    let routed = try drawn(entry, registry, on: model.sites("q_proj"))
    let said = "queryable-lora picks another update for every token, so there is no weight to merge into"
    #expect(message(scratch) { _ = try Merging.merge(routed, into: model, to: scratch["no"]) }.hasPrefix(said))
    #expect(message(scratch) { _ = try LoRAExport.write(routed, of: model, to: scratch["no"]) }.hasPrefix(said))

    var adapter = try lowRank(LowRank(rank: 1, alpha: 1), on: model.sites("layers.0.self_attn.q_proj"))
    for spec in adapter.layout { adapter.tensors[spec.key] = Tensor(repeating: 500, shape: spec.shape) }
    let name = "model.layers.0.self_attn.q_proj"
    #expect(
      message(scratch) { _ = try Merging.merge(adapter, into: model, dtype: .f16, to: scratch["no"]) }
        .hasPrefix("\(name).weight would hold 2"))
    adapter.tensors[adapter.layout[0].key] = Tensor(repeating: .infinity, shape: adapter.layout[0].shape)
    #expect(
      message(scratch) { _ = try Merging.merge(adapter, into: model, to: scratch["no"]) }
        == "the change at \(name) is not finite; use an adapter from before the run diverged")
    #expect(
      message(scratch) { _ = try Merging.merge(adapter, into: model, existing: .replace, to: model.directory.path) }
        .hasSuffix("is an input and is not replaced; write to another folder"))
    #expect(
      message(scratch) { _ = try Merging.merge(adapter, into: model, dtype: .i32, to: scratch["no"]) }
        == "weights cannot be stored as I32; use F32, BF16 or F16")
    #expect(try Folder.names(in: scratch.path) == ["llama-1-own"])
  }
}

@Suite("Model directories")
struct ModelWriterTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  @Test("trained parameters are written under their names, all else as it was", arguments: families)
  func replacing(_ family: String) throws {
    let model = try scratch.model(family)
    let trained = Dictionary(uniqueKeysWithValues: model.parameters.prefix(3).map { ($0.name, model.parameter($0.name) * 1.5) })
    try ModelWriter.write(model, replacing: trained, to: scratch["out"])
    let written = try ModelLoader.load(scratch["out"])
    for parameter in model.parameters {
      let expected = trained[parameter.name] ?? model.parameter(parameter.name)
      #expect(written.parameter(parameter.name).floats == expected.floats)
    }
    #expect(written.directory.tensorNames == model.directory.tensorNames)
    #expect(written.directory.config == model.directory.config)
  }

  @Test("names without the family's prefix stay so")
  func bareNames() throws {
    let model = try scratch.model("gpt2")
    let tensors = try model.directory.tensorNames.map { name in
      SafetensorsWriter.Tensor(
        name: name.replacing("transformer.", with: ""), shape: try #require(model.directory.entry(name)).shape,
        floats: try model.directory.floats(of: name))
    }
    try Folder.create(scratch["bare"])
    try SafetensorsWriter.write(tensors, to: scratch["bare/model.safetensors"])
    try WholeFile.write(TextFile.read(model.directory.path + "/config.json"), to: scratch["bare/config.json"])
    let bare = try ModelLoader.load(scratch["bare"])
    try ModelWriter.write(
      bare, replacing: ["transformer.wte.weight": bare.parameter("transformer.wte.weight")], to: scratch["out"])
    #expect(try ModelLoader.load(scratch["out"]).directory.tensorNames == bare.directory.tensorNames)
    #expect(logits(try ModelLoader.load(scratch["out"])) == logits(model))
  }

  @Test("unknown names, wrong shapes and NaN are refused, and nothing is left behind")
  func refusals() throws {
    let model = try scratch.model("llama")
    func said(_ tensors: [String: Tensor]) -> String {
      message(scratch) { try ModelWriter.write(model, replacing: tensors, to: scratch["out"]) }
    }
    #expect(said(["nonsense": .zeros([1])]) == "a llama model of this config has no 'nonsense'")
    #expect(said(["model.norm.weight": .zeros([3])]) == "model.norm.weight has shape [64] in this model, but [3] was given")
    #expect(
      said(["model.norm.weight": Tensor(repeating: .nan, shape: [64])])
        == "model.norm.weight would hold values that are not finite; use an adapter from before the run diverged")
    #expect(try Folder.names(in: scratch.path) == ["llama-1-own"])
  }
}
