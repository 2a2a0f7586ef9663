import Files
import Models
import Testing

@Suite struct EncoderRefusalTests {
  /// A change of a case's config and what is said about it.
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var old: String
    var new: String
    var message: String
    var testDescription: String { "\(name): \(new)" }

    init(_ name: String, _ old: String, _ new: String, _ message: String) {
      (self.name, self.old, self.new, self.message) = (name, old, new, message)
    }
  }

  private static let activations =
    "supported: gelu, gelu_python, gelu_new, gelu_pytorch_tanh, gelu_python_tanh, gelu_fast, gelu_accurate, quick_gelu, relu, relu2, "
    + "silu, swish, tanh, sigmoid, linear"

  private static let cases = [
    Case(
      "bert", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"mish\"", "hidden_act: \"mish\" is not supported (\(activations))"),
    Case(
      "bert", "\"use_cache\": true", "\"position_embedding_type\": \"relative_key\"",
      "position_embedding_type: \"relative_key\" is not supported (only \"absolute\" is)"),
    Case("bert", "\"is_decoder\": false", "\"is_decoder\": true", "is_decoder: true is not supported (only false is)"),
    Case(
      "bert", "\"add_cross_attention\": false", "\"add_cross_attention\": true",
      "add_cross_attention: true is not supported (only false is)"),
    Case(
      "bert", "\"use_cache\": true", "\"pruned_heads\": {\"0\": [1]}",
      "pruned_heads: an object is not supported (only whole layers of heads are)"),
    Case(
      "bert", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5",
      "the hidden size 48 is not divisible by 5 attention heads"),
    Case(
      "bert", "BertForSequenceClassification", "BertForTokenClassification",
      "architectures: \"BertForTokenClassification\" is not supported (supported: BertModel, BertForSequenceClassification, "
        + "BertForMaskedLM, BertForPreTraining, BertForNextSentencePrediction)"),
    Case(
      "bert", "\"use_cache\": true", "\"problem_type\": \"ranking\"",
      "problem_type: \"ranking\" is not supported (supported: regression, single_label_classification, multi_label_classification)"
    ),
    Case(
      "bert", "\"4\": \"LABEL_4\"", "\"5\": \"LABEL_4\"",
      "id2label.5: \"LABEL_4\" does not fit (an object is wanted that gives every id from 0 on a name)"),
    Case("bert", "\"LABEL_3\": 3", "\"LABEL_3\": 4", "label2id.LABEL_3: 4 does not fit (id2label gives that label the id 3)"),
    Case(
      "bert", "\"type_vocab_size\": 2", "\"type_vocab_size\": 0",
      "type_vocab_size: 0 does not fit (an integer from 1 to 2147483647 is wanted)"),
    Case(
      "bert", "\"dtype\": \"float32\"", "\"dtype\": \"float8_e4m3fn\"",
      "dtype: \"float8_e4m3fn\" is not supported (supported: float32, float16, bfloat16)"),
    Case(
      "roberta", "\"pad_token_id\": 1", "\"pad_token_id\": -1",
      "pad_token_id: -1 does not fit (an integer from 0 to 2147483646 is wanted)"),
    Case(
      "roberta", "\"pad_token_id\": 1", "\"pad_token_id\": 39",
      "max_position_embeddings: 40 does not fit (positions begin behind the padding id, at 40)"),
    Case(
      "vit", "\"patch_size\": 4", "\"patch_size\": [4, 4, 4]",
      "patch_size: [4, 4, 4] does not fit (an integer from 1 to 65536 is wanted, or a list of height and width)"),
    Case("vit", "\"patch_size\": 4", "\"patch_size\": 17", "patch_size: 17 does not fit (the image is 16 × 16)"),
    Case(
      "vit", "\"qkv_bias\": true", "\"interpolate_pos_encoding\": true",
      "interpolate_pos_encoding: true is not supported (only false is)"),
    Case(
      "vit", "\"pooler_act\": \"tanh\"", "\"pooler_act\": \"prelu\"", "pooler_act: \"prelu\" is not supported (\(activations))"),
    Case(
      "clip", "\"eos_token_id\": 96", "\"eos_token_id\": [96, 2]",
      "text_config.eos_token_id: [96, 2] does not fit (an integer from 0 to 2147483647 is wanted)"),
    Case(
      "clip", "\"patch_size\": 4", "\"patch_size\": [4, 4]",
      "vision_config.patch_size: [4, 4] does not fit (an integer is wanted)"),
    Case(
      "clip", "CLIPModel", "CLIPForImageClassification",
      "architectures: \"CLIPForImageClassification\" is not supported (supported: CLIPModel)"),
    Case(
      "clip", "\"logit_scale_init_value\": 2.6592", "\"text_config_dict\": 4",
      "text_config_dict: 4 does not fit (an object is wanted)"),
  ]

  private func refusal(_ scratch: Scratch, _ head: HeadChoice = .stored) -> String? {
    let error = #expect(throws: FileError.self) { _ = try ModelLoader.open(scratch.path, head: head) }
    return error?.description.replacing(scratch.path + "/", with: "").replacing(scratch.path, with: "DIR")
  }

  @Test(arguments: cases) func settingsAreRefusedByName(_ refused: Case) throws {
    let (scratch, test) = (try Scratch(), EncoderCase(name: refused.name))
    let config = try test.config
    #expect(config.contains(refused.old))
    try scratch.model(config: config.replacing(refused.old, with: refused.new), tensors(try test.weights))
    #expect(refusal(scratch) == "config.json: " + refused.message)
  }

  @Test func familiesAreRefusedByName() throws {
    let (scratch, test) = (try Scratch(), EncoderCase(name: "bert"))
    try scratch.model(
      config: try test.config.replacing("\"model_type\": \"bert\"", with: "\"model_type\": \"mamba\""), tensors(try test.weights))
    let message = try #require(refusal(scratch))
    #expect(message.hasPrefix("config.json: model_type: \"mamba\" is not supported (supported: gpt2, llama"))
    #expect(message.hasSuffix("bert, roberta, vit, clip, clip_text_model, clip_vision_model)"))
    let error = #expect(throws: FileError.self) { try ModelLoader.load(test.path) }
    #expect(
      error?.description.hasSuffix(
        "config.json: model_type: \"bert\" is an encoder (it does not predict tokens); give a language model") == true)
    let head = HeadChoice.classes(ClassLabels(names: ["a", "b"]), seed: 0)
    for name in ["clip", "llama", "encoders/clip-text"] {
      let error = #expect(throws: FileError.self) { try EncoderCase(name: name).model(head) }
      #expect(error?.what.contains("no classifier here") == true, "\(name)")
    }
    #expect(throws: FileError.self) { try EncoderCase(name: "bert").model(.classes(ClassLabels(names: []), seed: 0)) }
    #expect(try EncoderCase(name: "llama").model() is any LanguageModel)
  }

  @Test func tensorsAreRefusedByName() throws {
    let (scratch, test) = (try Scratch(), EncoderCase(name: "bert"))
    let (config, file) = (try test.config, try test.weights)
    let remedy = "check that config.json belongs to these weights"
    func without(_ name: String) -> [SafetensorsWriter.Tensor] { tensors(file).filter { $0.name != name } }
    try scratch.model(config: config, without("bert.pooler.dense.bias"))
    #expect(refusal(scratch) == "DIR: the weights lack 'bert.pooler.dense.bias'; \(remedy)")
    try scratch.model(config: config, without("classifier.weight"))
    #expect(refusal(scratch) == "DIR: the weights lack 'classifier.weight'; \(remedy)")
    try scratch.model(config: config, tensors(file) + [.init(name: "qa_outputs.weight", shape: [1], floats: [0])])
    #expect(
      refusal(scratch) == "DIR: the weights hold the unexpected 'qa_outputs.weight' (a bert model has no such tensors); \(remedy)"
    )
    try scratch.model(
      config: config, tensors(file) + [.init(name: "pooler.dense.bias", shape: [48], floats: Array(repeating: 0, count: 48))])
    #expect(
      refusal(scratch) == "DIR: holds one tensor under two names, 'bert.pooler.dense.bias' and 'pooler.dense.bias'")
    try scratch.model(config: config.replacing("\"4\": \"LABEL_4\"", with: "\"4\": \"LABEL_4\", \"5\": \"more\""), tensors(file))
    #expect(refusal(scratch) == "model.safetensors: tensor 'classifier.weight' has shape [5, 48] (config.json calls for [6, 48])")
    // A patch map of the same count in another arrangement.
    let vit = EncoderCase(name: "vit")
    let name = "vit.embeddings.patch_embeddings.projection.weight"
    let flat = SafetensorsWriter.Tensor(name: name, shape: [48, 48], floats: try vit.weights.floats(of: name))
    try scratch.model(config: try vit.config, tensors(try vit.weights).filter { $0.name != name } + [flat])
    #expect(refusal(scratch) == "model.safetensors: tensor '\(name)' has shape [48, 48] (config.json calls for [48, 3, 4, 4])")
  }

  @Test func inputsAreChecked() throws {
    func said(_ body: () throws -> Void) -> String? {
      let error = #expect(throws: FileError.self) { try body() }
      return error.map { error in [error.what, error.cause, error.remedy].compactMap { $0 }.joined(separator: "; ") }
    }
    let bert = try #require(try EncoderCase(name: "bert").model() as? any TextEncoder)
    try bert.check(length: 40)
    try bert.check(types: [0, 1])
    #expect(said { try bert.check(length: 41) }?.hasPrefix("a sequence of 41 tokens exceeds the model's 40 positions") == true)
    #expect(said { try bert.check(types: [1, 2]) } == "token type 2 is not among the model's 2; use the model's own tokenizer")
    let roberta = try #require(try EncoderCase(name: "roberta").model() as? any TextEncoder)
    try roberta.check(length: 38)
    #expect(said { try roberta.check(length: 39) }?.contains("38 positions") == true)
    let clip = try #require(try EncoderCase(name: "clip").model() as? any ImageTextModel)
    #expect(said { try clip.check(types: [0]) } == "token type 0 is not among the model's 0; leave token types out")
    try clip.check(pixels: [1, 3, 16, 16])
    #expect(
      said { try clip.check(pixels: [1, 3, 16, 17]) }
        == "images of shape [1, 3, 16, 17] are not what the model reads; it reads [images, 3 channels, height 16, width 16]; "
        + "scale the images to that size")
    #expect(said { try clip.check(pixels: [3, 16, 16]) } != nil && said { try clip.check(pixels: [0, 3, 16, 16]) } != nil)
  }
}
