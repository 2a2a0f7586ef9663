import AdapterFiles
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

/// Labels in adapters' files, and models that were opened with other heads.
@Suite("Heads in adapters' files")
struct HeadFilesTests {
  let scratch: Scratch
  let registry: MethodRegistry
  let bert = fixture("../../ModelsTests/Fixtures/bert")

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  private static let topics = ClassLabels(names: ["work", "law", "food"], problem: .multiLabel)

  /// A LoRA with every number drawn, and a head of its own where `modules` says so.
  private func adapter(_ model: any Model, modules: [String]) throws -> (adapter: Adapter, entry: MethodEntry) {
    var entry = try registry.entry("lora", overriding: ["rank": .int(2)])
    entry.trainable.modules = modules
    let sites = model.sites.filter { ["attention.query", "mlp.down"].contains($0.use) }
    var adapter = try drawn(entry, registry, on: sites)
    let names = try model.trainedNames(entry.trainable, at: sites)
    adapter.trained = model.standing(
      names, Dictionary(uniqueKeysWithValues: names.map { ($0, model.values(of: $0) * 1.5) }))
    return (adapter, entry)
  }

  @Test("labels and their problem come back by name, and the model opens with them")
  func named() throws {
    let model = try ModelLoader.open(bert, head: .classes(Self.topics, seed: 5))
    #expect(model.drawnModules == ["classifier"])
    let (adapter, entry) = try self.adapter(model, modules: ["classifier"])
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["a"])
    #expect(try AdapterReader.labels(of: scratch["a"]) == Self.topics)
    #expect(try AdapterReader.head(of: scratch["a"]) == .classes(Self.topics, seed: 0))
    let config = try TextFile.readJSON(scratch["a/adapter_config.json"])
    #expect(config["swift_peft"]?["labels"] == ["work", "law", "food"])
    #expect(config["swift_peft"]?["problem_type"] == "multi_label_classification")
    #expect(config["task_type"] == "SEQ_CLS")
    #expect(config["modules_to_save"] == ["classifier"])

    // Another seed's head gives way to the adapter's.
    let again = try AdapterReader.base(bert, for: scratch["a"])
    let stored = try AdapterReader.read(scratch["a"], for: again, registry: registry)
    let ids: [[Int32]] = [[5, 17, 3, 20, 41], [9, 12]]
    let agreement = try Agreement(model, adapter, with: again, stored.adapter, on: ids)
    #expect(agreement.largestDifference == 0 && agreement.positions == 2)
  }

  @Test("models with another head are refused in words")
  func otherHeads() throws {
    let model = try ModelLoader.open(bert, head: .classes(Self.topics, seed: 5))
    let (adapter, entry) = try self.adapter(model, modules: ["classifier"])
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["a"])
    func heard(_ head: HeadChoice, _ folder: String) -> String {
      message(scratch) { _ = try AdapterReader.read(folder, for: ModelLoader.open(bert, head: head), registry: registry) }
    }
    let ours = "a: has a head for 3 labels: 'work', 'law', 'food'"
    let remedy = "open the base with the adapter's labels"
    #expect(heard(.none, scratch["a"]) == "\(ours) (the bert model has none); \(remedy)")
    #expect(
      heard(.stored, scratch["a"])
        == "\(ours) (the model's is for 5 labels: 'LABEL_0', 'LABEL_1', 'LABEL_2', 'LABEL_3' and 1 more); \(remedy)")
    let turned = ClassLabels(names: ["law", "work", "food"])
    #expect(
      heard(.classes(turned, seed: 0), scratch["a"]) == "\(ours) (the model's is for 3 labels: 'law', 'work', 'food'); \(remedy)")
    let theirs = fixture("encoders/bert-classes")
    #expect(heard(.none, theirs).hasSuffix("has a head for 3 labels (the bert model has none); \(remedy)"))
    #expect(heard(.stored, theirs).contains("has a head for 3 labels (the model's is for 5 labels"))
  }

  @Test("an adapter of a language model's head is refused where there is none")
  func decoders() throws {
    let folder = try scratch.adapter("encoders/bert-classes")
    let llama = fixture("../../ModelsTests/Fixtures/llama")
    let heard = message(scratch) { _ = try AdapterReader.base(llama, for: folder) }
    #expect(heard.contains("model_type: a \"llama\" model has no classifier here"))
  }

  @Test("what was drawn for a head has to be in the adapter")
  func drawnHeads() throws {
    let bare = fixture("../../ModelsTests/Fixtures/encoders/bert-without-pooler")
    let model = try ModelLoader.open(bare, head: .classes(Self.topics, seed: 1))
    #expect(model.drawnModules == ["pooler", "classifier"])
    let (adapter, entry) = try self.adapter(model, modules: ["classifier"])
    func write(_ adapter: Adapter, _ entry: MethodEntry) -> String {
      message(scratch) { try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["a"]) }
    }
    #expect(
      write(adapter, entry)
        == "bert.pooler.dense.weight was drawn for a new head and is not among the adapter's tensors; "
        + "train it with the adapter: modules_to_save: [pooler, classifier]")
    let whole = try self.adapter(model, modules: ["pooler", "classifier"])
    #expect(write(whole.adapter, whole.entry) == "nothing was thrown")
    let names = try SafetensorsFile(scratch["a/adapter_model.safetensors"]).tensors.map(\.name)
    #expect(names.contains("base_model.model.bert.pooler.dense.weight"))
    // The bare encoder's files are whole, and a model of a config alone has nothing that could be lost.
    #expect(try ModelLoader.open(bare).drawnModules.isEmpty)
    #expect(try ModelLoader.openFresh(config: bert, seed: 1).drawnModules.isEmpty)
  }

  @Test("an adapter beside a stored head says nothing of it to PEFT, which would look for it in the files")
  func storedHead() throws {
    let model = try ModelLoader.open(bert)
    let (adapter, entry) = try self.adapter(model, modules: [])
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["a"])
    let config = try TextFile.readJSON(scratch["a/adapter_config.json"])
    #expect(config["task_type"]?.isNull == true)
    #expect(config["auto_mapping"]?["base_model_class"] == "BertForSequenceClassification")
    #expect(try AdapterReader.labels(of: scratch["a"])?.names.count == 5)
    let again = try AdapterReader.base(bert, for: scratch["a"])
    #expect(again.freshParameters.isEmpty)
    #expect(throws: Never.self) { _ = try AdapterReader.read(scratch["a"], for: again, registry: registry) }
  }

  @Test("files that say something impossible of their head")
  func hostile() throws {
    func heard(_ config: [String: JSON] = [:], _ edit: (inout [StoredTensor]) -> Void = { _ in }) throws -> String {
      try? Folder.remove(scratch["edited"])
      let folder = try scratch.adapter("encoders/bert-classes", config: config, edit)
      return message(scratch) { _ = try AdapterReader.labels(of: folder) }
    }
    let head = "base_model.model.classifier.weight"
    func shaped(_ shape: [Int]) throws -> String {
      try heard { tensors in
        for index in tensors.indices where tensors[index].name == head {
          (tensors[index].shape, tensors[index].floats) = (shape, [Float](repeating: 0, count: shape.reduce(1, *)))
        }
      }
    }
    #expect(try shaped([1 << 40, 0]).contains("tensor '\(head)' has shape [1099511627776, 0] (a head's last weight is [classes"))
    #expect(try shaped([144]).contains("has shape [144]"))
    #expect(try heard(["task_type": "TOKEN_CLS"]).contains("task_type: is TOKEN_CLS (its head says something of every token"))

    let model = try ModelLoader.open(bert, head: .classes(Self.topics, seed: 5))
    let (adapter, entry) = try self.adapter(model, modules: ["classifier"])
    try AdapterWriter.write(adapter, entry: entry, registry: registry, model: model, to: scratch["a"])
    let text = try TextFile.read(scratch["a/adapter_config.json"])
    for (from, to) in [("\"law\"", "3"), ("multi_label_classification", "guessing")] {
      try Folder.remove(scratch["a/adapter_config.json"])
      try WholeFile.write(text.replacing(from, with: to), to: scratch["a/adapter_config.json"])
      #expect(
        message(scratch) { _ = try AdapterReader.labels(of: scratch["a"]) }
          == "a/adapter_config.json: swift_peft: labels and problem_type do not name classes; restore the file as it was written")
    }
  }
}
