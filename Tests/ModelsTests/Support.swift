import Engine
import Files
import Models
import PEFTKernel
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A model directory of the tests, and what an independent implementation computed with it.
struct Fixture: CustomTestStringConvertible, Sendable {
  let family: String

  static let all = ["llama", "gpt2", "mistral", "qwen2", "qwen3", "gemma2"].map { Fixture(family: $0) }
  static let llama = all[0]
  static let gpt2 = all[1]
  static let qwen2 = all[3]
  static let qwen3 = all[4]
  static let gemma2 = all[5]

  var testDescription: String { family }
  var isHeadTied: Bool { ["gpt2", "qwen2", "gemma2"].contains(family) }
  /// What bare checkpoints leave out of their names.
  var prefix: String { family == "gpt2" ? "transformer." : "model." }

  var path: String {
    let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    return "\(folder)/Fixtures/\(family)"
  }

  var weights: SafetensorsFile { get throws { try SafetensorsFile("\(path)/model.safetensors") } }
  var config: String { get throws { try TextFile.read("\(path)/config.json") } }

  func model() throws -> any LanguageModel { try ModelLoader.load(path) }
}

/// Two padded sequences with their logits and mean loss.
struct Reference {
  let ids: [Int32]
  let mask: [UInt8]
  let logits: [Float]
  let loss: Double
  let sequences: Int
  let length: Int

  init(_ fixture: Fixture) throws { try self.init(path: "\(fixture.path)/reference.safetensors") }

  init(path: String) throws {
    let file = try SafetensorsFile(path)
    ids = try file.ints(of: "input_ids").map { Int32($0) }
    mask = try file.ints(of: "attention_mask").map { UInt8($0) }
    logits = try file.floats(of: "logits")
    loss = try file.doubles(of: "loss")[0]
    let shape = try #require(file.entry("input_ids")).shape
    (sequences, length) = (shape[0], shape[1])
  }

  func run(_ scalar: ScalarType = .float32, trained: [String: Tensor] = [:]) -> ModelRun {
    let rows = RowLayout(sequences: sequences, length: length, visible: mask)
    return ModelRun(pass: Pass(now: Moment(), rows: rows, sites: []), trained: trained, scalar: scalar)
  }

  /// What each row predicts: the next id of its sequence, unless that is padding.
  var labels: [Int32] {
    ids.indices.map { t in
      t % length == length - 1 || mask[t + 1] == 0 ? -100 : ids[t + 1]
    }
  }

  var labelled: Int { labels.count { $0 != -100 } }
}

/// The logits of `ids` as sequences of these lengths.
func logits(_ model: any LanguageModel, _ ids: [Int32], lengths: [Int]) -> [Float] {
  let run = ModelRun(pass: Pass(now: Moment(), rows: RowLayout(lengths: lengths), sites: []))
  return model.logits(model.hidden(ids, run), run).floats
}

func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  #expect(a.count == b.count)
  return zip(a, b).map { abs($0 - $1) }.max() ?? 0
}

/// `PEFT_PARITY=1 swift test --filter ReferenceTests` says how far from the references the outputs are: the numbers of docs/families.md.
func report(_ difference: Float, of what: String) {
  if getenv("PEFT_PARITY") != nil { print("parity: \(what) \(difference)") }
}

/// A folder of its own for one test, removed with the object.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/models-tests-XXXXXX".utf8CString)
    path = String(cString: try #require(mkdtemp(&template)))
  }

  deinit { try? Folder.remove(path) }

  subscript(_ name: String) -> String { path + "/" + name }

  func put(_ name: String, _ text: String) throws {
    try? Folder.remove(self[name])
    try WholeFile.write(text, to: self[name])
  }

  /// A model directory of that config and those tensors.
  func model(config: String, _ tensors: [SafetensorsWriter.Tensor]) throws {
    try put("config.json", config)
    try? Folder.remove(self["model.safetensors"])
    try SafetensorsWriter.write(tensors, to: self["model.safetensors"])
  }

  /// The error of loading what is here, in its one line, with the folder's path taken out.
  func refusal() -> String? {
    let error = #expect(throws: FileError.self) { _ = try ModelLoader.load(path) }
    return error?.description.replacing(path + "/", with: "").replacing(path, with: "DIR")
  }
}

/// The fixture's tensors as they are, under other names perhaps.
func tensors(_ file: SafetensorsFile, named name: (String) -> String = { $0 }) -> [SafetensorsWriter.Tensor] {
  file.tensors.map { SafetensorsWriter.Tensor(copying: $0, of: file, as: name($0.name)) }
}

/// A directory of an encoder, and what transformers computed with it.
struct EncoderCase: CustomTestStringConvertible, Sendable {
  let name: String

  static let families = ["bert", "roberta", "vit", "clip"].map { EncoderCase(name: $0) }
  static let made = [
    "bert-without-pooler", "bert-pooled", "bert-from-tensorflow", "bert-of-many-labels", "roberta-regression", "roberta-masked",
    "vit-pooled", "vit-narrow-heads", "clip-largest-id", "clip-first-end", "clip-text", "clip-vision",
  ].map { EncoderCase(name: "encoders/" + $0) }
  static let all = families + made

  var testDescription: String { name }
  var path: String { Fixture(family: name).path }
  var weights: SafetensorsFile { get throws { try Fixture(family: name).weights } }
  var config: String { get throws { try Fixture(family: name).config } }
  var reference: SafetensorsFile { get throws { try SafetensorsFile("\(path)/reference.safetensors") } }

  func model(_ head: HeadChoice = .stored) throws -> any Model { try ModelLoader.open(path, head: head) }
}

/// The inputs of a case.
struct EncoderInput {
  var ids: [Int32] = []
  var types: [Int32]?
  var rows = RowLayout(lengths: [])
  var pixels: Tensor?
  let file: SafetensorsFile

  init(_ test: EncoderCase) throws {
    file = try test.reference
    if let entry = file.entry("input_ids") {
      ids = try file.ints(of: "input_ids").map { Int32($0) }
      let visible = file.entry("attention_mask") == nil ? nil : try file.ints(of: "attention_mask").map { UInt8($0) }
      rows = RowLayout(sequences: entry.shape[0], length: entry.shape[1], visible: visible)
      types = file.entry("token_type_ids") == nil ? nil : try file.ints(of: "token_type_ids").map { Int32($0) }
    }
    if let entry = file.entry("pixel_values") { pixels = Tensor(try file.floats(of: "pixel_values"), shape: entry.shape) }
  }

  /// A run over rows of texts.
  func run(_ rows: RowLayout, _ scalar: ScalarType = .float32, sites: [Site] = []) -> ModelRun {
    ModelRun(pass: Pass(now: Moment(), rows: rows, sites: sites), scalar: scalar)
  }

  /// Everything that the model gives, by the reference's names. `change` may attach to a run, or train in it.
  func outputs(
    _ model: any Model, _ scalar: ScalarType = .float32, _ change: (inout ModelRun) -> Void = { _ in }
  ) -> [String: Tensor] {
    func made(_ rows: RowLayout) -> ModelRun {
      var run = self.run(rows, scalar)
      change(&run)
      return run
    }
    var outputs: [String: Tensor] = [:]
    if let model = model as? any ImageTextModel, let pixels {
      let (textRun, imageRun) = (made(rows), made(model.rows(images: pixels.shape[0])))
      let text = model.encode(ids, types: types, textRun)
      let image = model.encode(pixels: pixels.converted(to: scalar), imageRun)
      let (texts, images) = (model.embeddings(ofTexts: text, textRun), model.embeddings(ofImages: image, imageRun))
      outputs = [
        "text_embeds": texts, "image_embeds": images, "text_hidden_state": text.hidden, "image_hidden_state": image.hidden,
        "logits_per_image": model.logitsPerImage(images: images, texts: texts, textRun),
      ]
      return outputs
    }
    let encoding: Encoding
    let run: ModelRun
    if let model = model as? any TextEncoder {
      run = made(rows)
      encoding = model.encode(ids, types: model.typeCount == 0 ? nil : types, run)
    } else if let model = model as? any ImageEncoder, let pixels {
      run = made(model.rows(images: pixels.shape[0]))
      encoding = model.encode(pixels: pixels.converted(to: scalar), run)
    } else {
      return [:]
    }
    outputs["last_hidden_state"] = encoding.hidden
    outputs["pooler_output"] = encoding.pooled
    if let model = model as? any Classifier, model.labels != nil { outputs["logits"] = model.logits(encoding, run) }
    return outputs
  }
}
