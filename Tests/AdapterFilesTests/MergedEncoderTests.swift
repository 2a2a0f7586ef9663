import AdapterFiles
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

/// Models of encoders that are written: merged, in another number type, with another head.
@Suite("Merged encoders")
struct MergedEncoderTests {
  let scratch: Scratch
  let registry: MethodRegistry

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  private func merge(_ example: EncoderFileCase, dtype: StoredType? = nil, limit: Int = 1 << 40) throws -> Merging.Report {
    let model = try example.model()
    let stored = try AdapterReader.read(example.folder, for: model, registry: registry)
    return try Merging.merge(stored.adapter, into: model, dtype: dtype, shardLimit: limit, to: scratch["merged"])
  }

  @Test("the merged model alone gives what PEFT's model gives", arguments: EncoderFileCase.all)
  func outputs(_ example: EncoderFileCase) throws {
    _ = try merge(example)
    let merged = try ModelLoader.open(scratch["merged"])
    #expect(try example.distance(merged, nil) < 2e-5)
    #expect(merged.leftOut.isEmpty && merged.freshParameters.isEmpty)
    #expect(merged.classes?.names == (try example.model().classes?.names))
  }

  @Test("divided into files it is the same model", arguments: ["bert-classes", "roberta-classes", "vit-classes", "clip-towers"])
  func shards(_ name: String) throws {
    let example = try EncoderFileCase.named(name)
    _ = try merge(example, limit: 60_000)
    #expect(try Folder.names(in: scratch["merged"]).contains("model.safetensors.index.json"))
    #expect(try example.distance(ModelLoader.open(scratch["merged"]), nil) < 2e-5)
  }

  @Test("a new head stands in weights, names and config; a head that is not wanted is left out with a word")
  func heads() throws {
    let example = try EncoderFileCase.named("bert-classes")
    #expect(try merge(example).notes.isEmpty)
    let config = try TextFile.readJSON(scratch["merged/config.json"])
    #expect(config["architectures"] == ["BertForSequenceClassification"])
    #expect(config["id2label"]?.members?.map(\.value) == ["LABEL_0", "LABEL_1", "LABEL_2"])
    #expect(config["problem_type"] == "single_label_classification")
    let file = try SafetensorsFile(scratch["merged/model.safetensors"])
    #expect(file.entry("classifier.weight")?.shape == [3, 48])
    let adapter = try SafetensorsFile(example.folder + "/adapter_model.safetensors")
    #expect(try file.floats(of: "classifier.weight") == adapter.floats(of: "base_model.model.classifier.weight"))
    #expect(file.tensors.allSatisfy { $0.name.hasPrefix("bert.") || $0.name.hasPrefix("classifier.") })

    try Folder.remove(scratch["merged"])
    let report = try merge(EncoderFileCase.named("bert-bare"))
    #expect(
      report.notes == ["left out 'classifier.bias', 'classifier.weight': the model, a BertModel, does not compute with them"])
    #expect(try TextFile.readJSON(scratch["merged/config.json"])["architectures"] == ["BertModel"])
    #expect(try SafetensorsFile(scratch["merged/model.safetensors"]).entry("classifier.weight") == nil)
  }

  /// A base whose files have neither prefix nor pooler, norms by their names in TensorFlow, in BF16.
  private func bareBase() throws -> String {
    let source = fixture("../../ModelsTests/Fixtures/encoders/bert-without-pooler")
    let file = try SafetensorsFile(source + "/model.safetensors")
    try Folder.create(scratch["base"])
    try SafetensorsWriter.write(
      file.tensors.map { tensor in
        let name = tensor.name.replacing("LayerNorm.weight", with: "LayerNorm.gamma")
        return .init(name: name, shape: tensor.shape, floats: try file.floats(of: tensor.name), as: .bf16)
      }, to: scratch["base/model.safetensors"])
    try WholeFile.write(TextFile.read(source + "/config.json"), to: scratch["base/config.json"])
    for name in ["preprocessor_config.json", "tokenizer.json", "vocab.txt", "generation_config.json"] {
      try WholeFile.write("{}", to: scratch["base/\(name)"])
    }
    return scratch["base"]
  }

  @Test("with a new head all names are whole and all numbers of one type; other files come along")
  func drawnHead() throws {
    let labels = ClassLabels(names: ["no", "yes"])
    let model = try ModelLoader.open(bareBase(), head: .classes(labels, seed: 3))
    try ModelWriter.write(model, to: scratch["out"])
    let file = try SafetensorsFile(scratch["out/model.safetensors"])
    #expect(file.tensors.allSatisfy { $0.name.hasPrefix("bert.") || $0.name.hasPrefix("classifier.") })
    #expect(file.tensors.allSatisfy { $0.dtype == .bf16 && !$0.name.hasSuffix("gamma") })
    #expect(file.entry("bert.pooler.dense.weight")?.shape == [24, 24])
    #expect(file.entry("bert.embeddings.LayerNorm.weight") != nil)
    let written = try ModelLoader.open(scratch["out"])
    #expect(written.classes == labels && written.freshParameters.isEmpty)
    #expect(written.configuration["architectures"] == ["BertForSequenceClassification"])
    let names = try Folder.names(in: scratch["out"])
    for name in ["preprocessor_config.json", "tokenizer.json", "vocab.txt", "generation_config.json"] {
      #expect(names.contains(name))
    }
    // Written over what was written.
    try ModelWriter.write(model, existing: .replace, to: scratch["out"])
  }

  @Test("parts of a sentence-transformers model come along, from folders beside the weights only")
  func parts() throws {
    let base = try bareBase()
    try WholeFile.write(
      """
      [{"idx": 0, "path": ""}, {"idx": 1, "path": "1_Pooling"}, {"path": "../outside"}, {"path": "/etc"}, {"path": 3}]
      """, to: base + "/modules.json")
    for folder in [base + "/1_Pooling", scratch["outside"]] {
      try Folder.create(folder)
      try WholeFile.write("{}", to: folder + "/config.json")
      try WholeFile.write("x", to: folder + "/weights.bin")
    }
    let model = try ModelLoader.open(base)
    let site = try #require(model.sites.first)
    let adapter = try drawn(registry.entry("lora", overriding: ["rank": .int(2)]), registry, on: [site])
    for _ in 0..<2 { try Merging.merge(adapter, into: model, existing: .replace, to: scratch["merged"]) }
    #expect(try Folder.names(in: scratch["merged/1_Pooling"]) == ["config.json"])
    #expect(try Folder.names(in: scratch["merged"]).filter { Folder.isFolder(scratch["merged/" + $0]) } == ["1_Pooling"])
    try Unmerging.unmerge(scratch["merged"], to: scratch["again"])
    #expect(try TextFile.read(scratch["again/1_Pooling/config.json"]) == "{}")
    // Somebody's own folder stays.
    try WholeFile.write("mine", to: scratch["merged/1_Pooling/notes.md"])
    let heard = message(scratch) { try Merging.merge(adapter, into: model, existing: .replace, to: scratch["merged"]) }
    #expect(heard.contains("it holds '1_Pooling', which is nothing that is written there"))
  }

  @Test("without a head the names are the files' own, to the letter")
  func ownNames() throws {
    let model = try ModelLoader.open(bareBase())
    let name = "bert.encoder.layer.1.output.dense.weight"
    try ModelWriter.write(model, replacing: [name: model.parameter(name) * 2], to: scratch["out"])
    let (old, new) = (model.directory, try ModelLoader.open(scratch["out"]))
    #expect(new.directory.tensorNames == old.tensorNames)
    #expect(new.parameter(name).floats == (model.parameter(name) * 2).floats)
    #expect(ModelWriter.note(of: model) == nil)
  }

  @Test("parts of a checkpoint of pretraining that nothing is computed with are named")
  func leftOut() throws {
    let model = try ModelLoader.open(fixture("../../ModelsTests/Fixtures/encoders/bert-from-tensorflow"))
    let note = try #require(ModelWriter.note(of: model))
    #expect(
      note.hasPrefix("left out 'cls.predictions.bias'") && note.hasSuffix("the model, a BertModel, does not compute with them"))
    try ModelWriter.write(model, to: scratch["out"])
    #expect(try ModelLoader.open(scratch["out"]).leftOut.isEmpty)
  }

  @Test("in BF16 every weight is W + ΔW rounded once")
  func rounded() throws {
    let example = try EncoderFileCase.named("vit-classes")
    _ = try merge(example)
    let exact = try SafetensorsFile(scratch["merged/model.safetensors"])
    let floats = try Dictionary(uniqueKeysWithValues: exact.tensors.map { ($0.name, try exact.floats(of: $0.name)) })
    try Folder.remove(scratch["merged"])
    _ = try merge(example, dtype: .bf16)
    let rounded = try SafetensorsFile(scratch["merged/model.safetensors"])
    for tensor in rounded.tensors {
      #expect(tensor.dtype == .bf16)
      let values = try rounded.floats(of: tensor.name)
      // Seven bits behind the point: half of a last place is 2⁻⁸ of the number at most.
      #expect(zip(values, floats[tensor.name] ?? []).allSatisfy { abs($0 - $1) <= abs($1) * 0x1.01p-8 }, "\(tensor.name)")
    }
    #expect(try TextFile.readJSON(scratch["merged/config.json"])["dtype"] == "bfloat16")
    #expect(try example.distance(ModelLoader.open(scratch["merged"]), nil) < 2e-2)
  }
}
