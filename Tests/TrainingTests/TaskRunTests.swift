import AdapterFiles
import Catalog
import Engine
import Files
import Foundation
import JSON
import Models
import PEFTKernel
import Registry
import Testing

@testable import Training

/// Whole runs of encoders: data to adapter, and back.
@Suite struct TaskRunTests {
  static let words = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "photo", "of", "bright", "dark", "sun", "day", "moon", "night", "is", ".",
  ]

  /// A model of the tests with a tokenizer of a few words beside it, in a folder of the test's.
  func model(_ family: String, _ scratch: RunTests.Scratch) throws -> String {
    let folder = scratch.path + "/" + family
    try Folder.create(folder)
    for name in ["config.json", "model.safetensors"] {
      try FileManager.default.copyItem(atPath: "\(ObjectiveTests.models)/\(family)/\(name)", toPath: folder + "/" + name)
    }
    guard family != "vit" else { return folder }
    // CLIP's fixture ends texts with its last id.
    let isCLIP = family == "clip"
    let ids = Self.words.enumerated().map { JSON.Member($1, .int(isCLIP && $1 == "[SEP]" ? 96 : $0)) }
    func piece(_ token: String) -> JSON { ["SpecialToken": ["id": .string(token), "type_id": 0]] }
    let text: JSON = ["Sequence": ["id": "A", "type_id": 0]]
    func special(_ token: String) -> JSON.Member {
      let id = isCLIP && token == "[SEP]" ? 96 : Self.words.firstIndex(of: token) ?? 0
      return .init(token, ["id": .string(token), "ids": [.int(id)], "tokens": [.string(token)]])
    }
    let tokenizer: JSON = [
      "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": [], "normalizer": .null,
      "pre_tokenizer": ["type": "Whitespace"],
      "post_processor": [
        "type": "TemplateProcessing", "single": [piece("[CLS]"), text, piece("[SEP]")],
        "pair": [piece("[CLS]"), text, piece("[SEP]"), ["Sequence": ["id": "B", "type_id": 1]], piece("[SEP]")],
        "special_tokens": .object([special("[CLS]"), special("[SEP]")]),
      ],
      "decoder": ["type": "WordPiece", "prefix": "##", "cleanup": false],
      "model": [
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": .object(ids),
      ],
    ]
    try WholeFile.write(tokenizer.text(), to: folder + "/tokenizer.json")
    return folder
  }

  func session(_ text: String, _ scratch: RunTests.Scratch, _ name: String) throws -> RunSession {
    let path = scratch.path + "/\(name).yaml"
    try WholeFile.write(text + "\noutput_dir: \(scratch.path)/\(name)\n", to: path)
    let registry = try Catalog.registry()
    return try RunSession(RunFile.load(path, registry: registry), registry: registry)
  }

  func texts(_ scratch: RunTests.Scratch, _ name: String, _ count: Int) throws -> String {
    let rows = (0..<count).map { index -> String in
      let (words, label) = index % 2 == 0 ? (["sun", "day", "bright"], "light") : (["moon", "night", "dark"], "shade")
      return "{\"text\": \"\(words[index % 3]) is a \(words[(index + 1) % 3])\", \"label\": \"\(label)\"}"
    }
    try WholeFile.write(rows.joined(separator: "\n") + "\n", to: "\(scratch.path)/\(name).jsonl")
    return "\(scratch.path)/\(name).jsonl"
  }

  /// Bright images are of one class, dark ones of the other.
  func images(_ scratch: RunTests.Scratch, _ name: String, _ count: Int) throws -> String {
    var random = Philox(key: 5)
    var pixels: [Float] = []
    for index in 0..<count {
      let base: Float = index % 2 == 0 ? 0.9 : 0.1
      pixels += random.uniform([3 * 16 * 16], in: -0.1..<0.1).floats.map { $0 + base }
    }
    let path = "\(scratch.path)/\(name).safetensors"
    try SafetensorsWriter.write(
      [
        .init(name: "images", shape: [count, 3, 16, 16], floats: pixels),
        .init(name: "labels", shape: [count], ints: (0..<count).map { $0 % 2 }),
      ], metadata: ["label_names": "[\"bright\", \"dark\"]"], to: path)
    return path
  }

  func text(_ task: String, _ model: String, _ data: String, _ rest: String = "", steps: Int = 30) -> String {
    """
    task: \(task)
    base_model: \(model)
    method: { use: lora, rank: 4 }
    target_modules: [attention.query, attention.value]
    data: { \(data) }
    optimizer: { name: adamw, lr: 5e-3 }
    steps: \(steps)
    batch_size: 8
    seed: 3
    \(rest)
    """
  }

  @Test func textsAreClassifiedAndTheAdapterKnowsItsClasses() async throws {
    let scratch = try RunTests.Scratch()
    let model = try model("bert", scratch)
    let data = "train: \(try texts(scratch, "train", 24)), valid: \(try texts(scratch, "valid", 12))"
    let session = try session(text("sequence_classification", model, data), scratch, "run")
    #expect(session.entry.trainable.modules == ["classifier"])
    let outcome = try await TrainingRun(session).run()
    let (before, after) = (try #require(outcome.before?.classes), try #require(outcome.after?.classes))
    #expect(after.accuracy == 1 && before.accuracy < 1 && after.names == ["light", "shade"])
    // The log tells it, too.
    let log = try TextFile.read(scratch.path + "/run/metrics.jsonl").split(separator: "\n").map { try JSON(parsing: String($0)) }
    #expect(log.last?["eval_accuracy"]?.double == 1 && log.last?["eval_examples"]?.int == 12)
    // Read back, by its own classes.
    let adapter = try #require(outcome.adapterPath)
    #expect(try AdapterReader.labels(of: adapter)?.names == ["light", "shade"])
    var settings = TaskSettings(.sequenceClassification, model: model)
    settings.adapter = adapter
    let setup = try TaskSetup(settings)
    let stored = try AdapterReader.read(adapter, for: setup.objective.model, registry: try Catalog.registry())
    var found: [String] = []
    setup.predictions(try setup.inputs(["moon is a night", "day is bright"]), adapter: stored.adapter) {
      found.append($0.classes[0].name)
    }
    #expect(found == ["shade", "light"])
    let (examples, _) = try setup.examples(of: scratch.path + "/valid.jsonl")
    let again = Evaluation.of(setup.objective, adapter: stored.adapter, examples)
    #expect(abs(again.loss - (try #require(outcome.after)).loss) < 1e-6)
    // Merged, the model has the head.
    try Merging.merge(stored.adapter, into: setup.objective.model, from: adapter, to: scratch.path + "/merged")
    var merged = TaskSettings(.sequenceClassification, model: scratch.path + "/merged")
    merged.data = scratch.path + "/valid.jsonl"
    let whole = try TaskSetup(merged)
    #expect(whole.objective.classNames == ["light", "shade"] && whole.objective.model.freshParameters.isEmpty)
    let mergedLoss = Evaluation.of(whole.objective, adapter: nil, try whole.examples(of: scratch.path + "/valid.jsonl").examples)
    #expect(abs(mergedLoss.loss - again.loss) < 1e-5)
  }

  @Test(arguments: [
    ("method: { use: lora, rank: 4, dropout: 0.2 }", "bert"), ("method: full", "roberta"), ("method: dora", "roberta"),
  ])
  func resumingClassificationIsBitExact(_ method: String, _ family: String) async throws {
    let scratch = try RunTests.Scratch()
    let model = try model(family, scratch)
    let body = text(
      "sequence_classification", model, "train: \(try texts(scratch, "train", 24)), valid: \(try texts(scratch, "valid", 6))",
      steps: 6
    )
    .replacing("method: { use: lora, rank: 4 }", with: method)
    let lines = method.contains("full") ? body.replacing("target_modules: [attention.query, attention.value]\n", with: "") : body
    let whole = try await TrainingRun(session(lines, scratch, "whole")).run()
    let parts = try session(lines, scratch, "parts")
    let stopped = try await Task {
      try await TrainingRun(parts).run { event in
        if case .step(let report, _) = event, report.step == 3 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }.value
    #expect(stopped.end == .stopped && stopped.steps == 3)
    // As `resume` does it: from what the run wrote down.
    let registry = try Catalog.registry()
    let again = try RunSession(
      RunFile.load(scratch.path + "/parts/" + RunSession.fileName, registry: registry), registry: registry)
    let resumed = try await TrainingRun(again, resumes: true).run()
    #expect(resumed.after?.loss == whole.after?.loss)
    let file = whole.adapterPath == nil ? "/model/model.safetensors" : "/adapter/adapter_model.safetensors"
    #expect(try SHA256.hex(ofFile: scratch.path + "/whole" + file) == SHA256.hex(ofFile: scratch.path + "/parts" + file))
  }

  @Test func imagesAreClassified() async throws {
    let scratch = try RunTests.Scratch()
    let model = try model("vit", scratch)
    let data = "train: \(try images(scratch, "train", 24)), valid: \(try images(scratch, "valid", 12)), shots: 6"
    let session = try session(text("image_classification", model, data), scratch, "run")
    #expect(session.training.count == 12)
    let outcome = try await TrainingRun(session).run()
    #expect(outcome.after?.classes?.accuracy == 1)
    #expect(outcome.after?.classes?.names == ["bright", "dark"])
  }

  @Test func fewImagesAreComparedWithTexts() async throws {
    let scratch = try RunTests.Scratch()
    let model = try model("clip", scratch)
    let data = "train: \(try images(scratch, "train", 24)), valid: \(try images(scratch, "valid", 12)), shots: 4"
    let session = try session(text("image_text_classification", model, data), scratch, "run")
    #expect(session.training.count == 8 && session.objective.classNames == ["bright", "dark"])
    let outcome = try await TrainingRun(session).run()
    #expect(outcome.after?.classes?.accuracy == 1)
  }

  @Test func textsThatBelongTogetherComeNear() async throws {
    let scratch = try RunTests.Scratch()
    let model = try model("bert", scratch)
    let pairs = [("sun", "day"), ("moon", "night"), ("photo", "of"), ("bright", "dark")]
    try WholeFile.write(
      pairs.map { "{\"prompt\": \"\($0)\", \"completion\": \"a \($1)\"}" }.joined(separator: "\n") + "\n",
      to: scratch.path + "/pairs.jsonl")
    let data = "train: \(scratch.path)/pairs.jsonl, valid: \(scratch.path)/pairs.jsonl"
    let session = try session(text("sentence_embedding", model, data, "embedding: { scale: 10 }"), scratch, "run")
    let outcome = try await TrainingRun(session).run()
    guard case .retrieval(let metrics)? = outcome.after?.measures else {
      Issue.record("no retrieval was measured")
      return
    }
    #expect(metrics.accuracyAt1 == 1)
    #expect(try #require(outcome.after).loss < 0.5 * (try #require(outcome.before)).loss)
  }

  /// Every refusal says the key and what to do.
  @Test(arguments: [
    ("task: sequence_classification", "vit", "is a vit model"),
    ("task: image_classification", "bert", "is a bert model"),
    ("task: sentence_embedding", "vit", "is a vit model"),
    ("task: image_text_classification", "bert", "is a bert model"),
    ("task: causal_lm", "bert", "is an encoder (bert); set task: sequence_classification or task: sentence_embedding"),
    ("", "vit", "is an encoder (vit); set task: image_classification"),
    ("task: sequence_classification\nlabels: [light, dusk]", "bert", "the label `shade` is none of the run's: light, dusk"),
    ("task: sequence_classification\nlabels: [light, light]", "bert", "names `light` twice"),
    ("task: sequence_classification\nlabels: [light]", "bert", "two classes at least"),
    ("task: sentence_embedding\nlabels: [light, shade]", "bert", "`labels` is for classification"),
    ("task: sentence_embedding", "bert", "is no pair of texts"),
  ])
  func whatDoesNotFitIsRefused(_ lines: String, _ family: String, _ message: String) throws {
    let scratch = try RunTests.Scratch()
    let model = try model(family, scratch)
    let data = try texts(scratch, "train", 8)
    let body = text("TASK", model, "train: \(data)").replacing("task: TASK", with: lines)
    do {
      _ = try session(body, scratch, "run")
      Issue.record("was not refused")
    } catch {
      #expect("\(error)".contains(message), "\(error)")
    }
  }

  @Test(arguments: [
    ("task: image_classification", "data.max_seq_len", "max_seq_len: 20"),
    ("task: sequence_classification", "data.packing", "packing: true"),
    ("task: sequence_classification", "data.loss_on", "loss_on: all"), ("task: causal_lm", "data.shots", "shots: 3"),
    ("task: sequence_classification", "data.prompt_template", "prompt_template: 'a {}'"),
    ("task: image_text_classification", "data.prompt_template", "prompt_template: 'a photo'"),
  ])
  func keysOfOtherTasksAreRefused(_ task: String, _ key: String, _ line: String) throws {
    let scratch = try RunTests.Scratch()
    let model = try model("bert", scratch)
    let body = text("TASK", model, "train: \(try texts(scratch, "train", 8)), \(line)").replacing("task: TASK", with: task)
    do {
      _ = try session(body, scratch, "run")
      Issue.record("was not refused")
    } catch {
      #expect("\(error)".contains("`\(key)`"), "\(error)")
    }
  }
}
