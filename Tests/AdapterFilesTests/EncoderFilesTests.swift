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

/// Adapters that PEFT trained on encoders, by PEFT's numbers.
@Suite("Encoders' adapters in PEFT's files")
struct EncoderFilesTests {
  let scratch: Scratch
  let registry: MethodRegistry

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  private func read(_ example: EncoderFileCase, _ model: any Model) throws -> StoredAdapter {
    try AdapterReader.read(example.folder, for: model, registry: registry)
  }

  @Test("the model with PEFT's adapter gives what PEFT's model gives", arguments: EncoderFileCase.all)
  func outputs(_ example: EncoderFileCase) throws {
    let model = try example.model()
    #expect(model.classes?.names.count == example.labels ?? (example.isBare ? nil : 5))
    let off = try example.distance(model, read(example, model).adapter)
    #expect(off < 2e-5, "\(off)")
    #expect(try example.distance(model, nil) > 1e-3)
  }

  @Test("labels are as many as the head has rows, and called what the base calls as many", arguments: EncoderFileCase.all)
  func labels(_ example: EncoderFileCase) throws {
    let labels = try AdapterReader.labels(of: example.folder, base: example.basePath)
    #expect(labels?.names == example.labels.map { (0..<$0).map { "LABEL_\($0)" } })
    #expect(try AdapterReader.labels(of: example.folder) == labels)
    #expect(labels == nil || labels?.problem == (example.labels == 1 ? .regression : .singleLabel))
  }

  @Test("written anew it has PEFT's names and fields, and read again it is the same", arguments: EncoderFileCase.all)
  func roundTrip(_ example: EncoderFileCase) throws {
    let model = try example.model()
    let stored = try read(example, model)
    let outputs = try example.inputs().outputs(model, stored.adapter)
    try AdapterWriter.write(stored.adapter, entry: stored.entry, registry: registry, model: model, to: scratch["own"])
    let again = try AdapterReader.read(scratch["own"], for: model, registry: registry)
    #expect(try example.inputs().outputs(model, again.adapter) == outputs)
    #expect(try AdapterReader.labels(of: scratch["own"]) == model.classes)

    let names = ["adapter_config.json", "adapter_model.safetensors"]
    let (theirs, ours) = (try SafetensorsFile(example.folder + "/" + names[1]), try SafetensorsFile(scratch["own/" + names[1]]))
    if example.base != "llama", stored.origin != nil {
      // Adapted tables, and biases of saved modules, stand in PEFT's files once more.
      #expect(
        Set(ours.tensors.map(\.name))
          == Set(
            theirs.tensors.map(\.name).filter {
              !$0.hasSuffix("base_layer.weight") && !$0.contains(".modules_to_save.") && !$0.contains(".original_module.")
            }))
      let (given, written) = (
        try TextFile.readJSON(example.folder + "/" + names[0]), try TextFile.readJSON(scratch["own/" + names[0]])
      )
      for field in ["task_type", "auto_mapping", "bias", "use_dora", "use_rslora", "r"] where given[field] != nil {
        // Where PEFT has nothing to say, neither have we.
        let isSame = (written[field] ?? .null) == given[field]
        #expect(isSame || (written[field] == nil && given[field] == false), "\(field)")
      }
    }

    // Rows of a table have become the table.
    guard stored.origin != nil else { return }
    try AdapterWriter.write(
      stored.adapter, entry: stored.entry, registry: registry, model: model, origin: stored.origin, to: scratch["kept"])
    #expect(try TextFile.readJSON(scratch["kept/" + names[0]]) == TextFile.readJSON(example.folder + "/" + names[0]).sorted)
    let kept = try SafetensorsFile(scratch["kept/" + names[1]])
    #expect(Set(kept.tensors.map(\.name)) == Set(theirs.tensors.map(\.name)))
    for tensor in theirs.tensors { #expect(try kept.floats(of: tensor.name) == theirs.floats(of: tensor.name)) }
  }

  @Test("exported as a plain LoRA it gives the same, and its labels stay", arguments: EncoderFileCase.all.filter(\.isLowRank))
  func export(_ example: EncoderFileCase) throws {
    let model = try example.model()
    try LoRAExport.write(read(example, model).adapter, of: model, to: scratch["plain"])
    let plain = try AdapterReader.read(scratch["plain"], for: model, registry: registry)
    #expect(try example.distance(model, plain.adapter) < 2e-5)
    #expect(try AdapterReader.labels(of: scratch["plain"]) == model.classes)
  }

  @Test("the names of older modules are read, with the family's prefix and without", arguments: ["vit.", ""])
  func olderNames(_ prefix: String) throws {
    let example = try EncoderFileCase.named(prefix.isEmpty ? "vit-bare" : "vit-classes")
    let renamed = [
      ("attention.q_proj", "attention.attention.query"), ("attention.v_proj", "attention.attention.value"),
      ("mlp.fc2", "output.dense"),
    ]
    let targets: JSON = prefix.isEmpty ? ["query", "output.dense"] : ["query", "value"]
    let folder = try scratch.adapter("encoders/" + example.name, config: ["target_modules": targets]) { tensors in
      for index in tensors.indices {
        var name = tensors[index].name.replacing("\(prefix)layers.", with: "\(prefix)encoder.layer.")
        for (new, old) in renamed { name = name.replacing(new, with: old) }
        tensors[index].name = name
      }
    }
    // Of `output.dense` there are two in a layer by the older names: the attention's is left out here.
    let narrowed = try prefix.isEmpty ? self.narrowed(folder) : folder
    let model = try example.model()
    let stored = try AdapterReader.read(narrowed, for: model, registry: registry)
    #expect(try example.distance(model, stored.adapter) < 2e-5)
    // Written anew it has the names of today.
    try AdapterWriter.write(stored.adapter, entry: stored.entry, registry: registry, model: model, to: scratch["own"])
    let (ours, theirs) = (
      try SafetensorsFile(scratch["own/adapter_model.safetensors"]), example.folder + "/adapter_model.safetensors"
    )
    #expect(Set(ours.tensors.map(\.name)) == Set(try SafetensorsFile(theirs).tensors.map(\.name)))
  }

  private func narrowed(_ folder: String) throws -> String {
    var members = try #require(TextFile.readJSON(folder + "/adapter_config.json").members)
    members.append(.init("exclude_modules", ["attention.output.dense"]))
    members = members.reversed().reduce(into: []) { kept, member in
      if !kept.contains(where: { $0.key == member.key }) { kept.append(member) }
    }
    try Folder.remove(folder + "/adapter_config.json")
    try WholeFile.write(JSON.object(members).text(), to: folder + "/adapter_config.json")
    return folder
  }

  @Test("an adapter of a model without a head stands in one with a head, and the other way round")
  func otherHead() throws {
    // PEFT's file of the bare model in the classifier: the encoder gives the same.
    let bare = try EncoderFileCase.named("bert-bare")
    let headed = try ModelLoader.open(bare.basePath)
    let stored = try AdapterReader.read(bare.folder, for: headed, registry: registry)
    #expect(try fits(bare, headed, stored.adapter))
    // Ours, which says what it was written for.
    let model = try bare.model()
    let own = try read(bare, model)
    try AdapterWriter.write(own.adapter, entry: own.entry, registry: registry, model: model, to: scratch["own"])
    #expect(try fits(bare, headed, AdapterReader.read(scratch["own"], for: headed, registry: registry).adapter))
    #expect(try AdapterReader.head(of: scratch["own"]) == .none)
  }

  private func fits(_ example: EncoderFileCase, _ model: any Model, _ adapter: Adapter) throws -> Bool {
    try example.distance(model, adapter) < 2e-5
  }

  @Test("language models' formats refuse encoders by name")
  func otherPrograms() throws {
    let example = try EncoderFileCase.named("bert-classes")
    let model = try example.model()
    let adapter = try read(example, model).adapter
    let mlx = message(scratch) { try MLXWriter.write(adapter, of: model, to: scratch["mlx"]) }
    #expect(mlx.hasPrefix("mlx-lm has no bert models: it knows language models only"))
    let gguf = message(scratch) { try GGUFAdapterWriter.write(adapter, of: model, to: scratch["a.gguf"]) }
    #expect(gguf.hasPrefix("GGUF adapters are not known for bert models"))
    #expect(try Folder.names(in: scratch.path).isEmpty)
  }

  /// For `Fixtures/encoders/check.py`, which lets PEFT load what is written here.
  @Test("adapters for PEFT to load", .enabled(if: getenv("PEFT_WRITE_ENCODER_ADAPTERS") != nil)) func forPEFT() throws {
    let folder = try #require(getenv("PEFT_WRITE_ENCODER_ADAPTERS").map { String(cString: $0) })
    for example in EncoderFileCase.all where example.base != "llama" {
      let model = try example.model()
      let stored = try read(example, model)
      let outputs = try example.inputs().outputs(model, stored.adapter)
      let expected = try SafetensorsFile(fixture("encoders/outputs.safetensors"))
      let own = Folder.join(folder, example.name + "+own")
      try AdapterWriter.write(stored.adapter, entry: stored.entry, registry: registry, model: model, to: own)
      var written = [own]
      if example.isLowRank {
        written.append(Folder.join(folder, example.name + "+export"))
        try LoRAExport.write(stored.adapter, of: model, to: written[1])
      }
      for place in written {
        let tensors = try example.expected().keys.sorted().map { name in
          let shape = try #require(expected.entry("\(example.name).\(name)")).shape
          return SafetensorsWriter.Tensor(name: name, shape: shape, floats: try #require(outputs[name]))
        }
        try SafetensorsWriter.write(tensors, to: Folder.join(place, "outputs.safetensors"))
      }
    }
  }
}
