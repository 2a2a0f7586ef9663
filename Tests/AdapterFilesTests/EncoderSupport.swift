import AdapterFiles
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

/// An adapter that PEFT trained on a model of `ModelsTests`, see `Fixtures/encoders/cases.py`, and what the model gives with it.
struct EncoderFileCase: CustomTestStringConvertible, Sendable {
  let name: String
  let base: String
  /// How many labels the adapter's head has; nil where it brings none.
  var labels: Int?
  /// Whether it can be exported without a bound on the rank.
  var isLowRank = true

  var testDescription: String { name }
  var folder: String { fixture("encoders/\(name)") }
  var basePath: String { fixture("../../ModelsTests/Fixtures/\(base)") }
  var isBare: Bool { name.contains("bare") || base == "clip" }

  static let all = [
    EncoderFileCase(name: "bert-classes", base: "bert", labels: 3),
    EncoderFileCase(name: "bert-own-head", base: "bert", labels: 5),
    EncoderFileCase(name: "bert-frozen-head", base: "bert"),
    EncoderFileCase(name: "bert-bare", base: "bert"),
    EncoderFileCase(name: "bert-bare-dora", base: "bert", isLowRank: false),
    EncoderFileCase(name: "bert-tables", base: "bert", labels: 2, isLowRank: false),
    EncoderFileCase(name: "bert-tokens", base: "bert", labels: 2),
    EncoderFileCase(name: "bert-vera", base: "bert", labels: 1),
    EncoderFileCase(name: "roberta-classes", base: "roberta", labels: 4),
    EncoderFileCase(name: "vit-classes", base: "vit", labels: 6),
    EncoderFileCase(name: "vit-all", base: "vit"),
    EncoderFileCase(name: "vit-bias", base: "vit", labels: 2),
    EncoderFileCase(name: "vit-bare", base: "encoders/vit-pooled"),
    EncoderFileCase(name: "clip-towers", base: "clip"),
    EncoderFileCase(name: "clip-vision", base: "clip", isLowRank: false),
    EncoderFileCase(name: "clip-text-bare", base: "encoders/clip-text"),
    EncoderFileCase(name: "llama-bare", base: "llama"),
  ]
  static func named(_ name: String) throws -> EncoderFileCase { try #require(all.first { $0.name == name }) }

  /// The base with the head that the adapter needs, or none where transformers opened it so.
  func model() throws -> any Model {
    if isBare { return try ModelLoader.open(basePath, head: .none) }
    return try AdapterReader.base(basePath, for: folder)
  }

  /// What PEFT's model gives, by the library's names.
  func expected() throws -> [String: [Float]] {
    let file = try SafetensorsFile(fixture("encoders/outputs.safetensors"))
    var outputs: [String: [Float]] = [:]
    for tensor in file.tensors where tensor.name.hasPrefix(name + ".") {
      outputs[String(tensor.name.dropFirst(name.count + 1))] = try file.floats(of: tensor.name)
    }
    return outputs
  }

  func inputs() throws -> EncoderInputs { try EncoderInputs(SafetensorsFile(basePath + "/reference.safetensors")) }

  /// The largest difference from what PEFT's model gives, as a share of the largest number where that is over 1.
  func distance(_ model: any Model, _ adapter: Adapter?) throws -> Float {
    let (outputs, expected) = (try inputs().outputs(model, adapter), try expected())
    #expect(!expected.isEmpty)
    return try expected.map { name, values in
      let own = try #require(outputs[name], "\(name)")
      return largestDifference(own, values) / max(1, values.map(abs).max() ?? 0)
    }.max() ?? .infinity
  }
}

/// What the models of `ModelsTests` are given.
struct EncoderInputs {
  private var ids: [Int32] = []
  private var types: [Int32]?
  private var rows = RowLayout(lengths: [])
  private var pixels: Tensor?

  init(_ file: SafetensorsFile) throws {
    if let entry = file.entry("input_ids") {
      ids = try file.ints(of: "input_ids").map { Int32($0) }
      let visible = file.entry("attention_mask") == nil ? nil : try file.ints(of: "attention_mask").map { UInt8($0) }
      rows = RowLayout(sequences: entry.shape[0], length: entry.shape[1], visible: visible)
      types = file.entry("token_type_ids") == nil ? nil : try file.ints(of: "token_type_ids").map { Int32($0) }
    }
    if let entry = file.entry("pixel_values") { pixels = Tensor(try file.floats(of: "pixel_values"), shape: entry.shape) }
  }

  /// Everything that a model gives, by the names that transformers has for it.
  func outputs(_ model: any Model, _ adapter: Adapter?) -> [String: [Float]] {
    func run(over rows: RowLayout) -> ModelRun {
      ModelRun(pass: Pass(now: Moment(), rows: rows, sites: adapter?.sites ?? []), attachment: adapter?.attached())
    }
    if let model = model as? any ImageTextModel, let pixels {
      let (textRun, imageRun) = (run(over: rows), run(over: model.rows(images: pixels.shape[0])))
      let texts = model.embeddings(ofTexts: model.encode(ids, types: types, textRun), textRun)
      let images = model.embeddings(ofImages: model.encode(pixels: pixels, imageRun), imageRun)
      return [
        "text_embeds": texts.floats, "image_embeds": images.floats,
        "logits_per_image": model.logitsPerImage(images: images, texts: texts, textRun).floats,
      ]
    }
    if let model = model as? any LanguageModel {
      return ["last_hidden_state": model.hidden(ids, run(over: rows)).floats]
    }
    let encoding: Encoding
    let made: ModelRun
    if let model = model as? any TextEncoder {
      made = run(over: rows)
      encoding = model.encode(ids, types: model.typeCount == 0 ? nil : types, made)
    } else if let model = model as? any ImageEncoder, let pixels {
      made = run(over: model.rows(images: pixels.shape[0]))
      encoding = model.encode(pixels: pixels, made)
    } else {
      return [:]
    }
    var outputs = ["last_hidden_state": encoding.hidden.floats]
    outputs["pooler_output"] = encoding.pooled?.floats
    if let model = model as? any Classifier, model.labels != nil { outputs["logits"] = model.logits(encoding, made).floats }
    return outputs
  }
}
