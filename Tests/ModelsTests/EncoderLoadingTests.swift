import Engine
import Files
import Models
import Testing

/// The same weights in other files: whatever the variant, the outputs are the reference's.
@Suite struct EncoderLoadingTests {
  private func expectReference(_ test: EncoderCase, in folder: String) throws {
    let (model, input) = (try ModelLoader.open(folder), try EncoderInput(test))
    for (name, output) in input.outputs(model) where input.file.entry(name) != nil {
      #expect(largestDifference(output.floats, try input.file.floats(of: name)) < 2e-5, "\(name)")
    }
  }

  private func file(_ test: EncoderCase, named name: (String) -> String) throws -> Scratch {
    let scratch = try Scratch()
    try scratch.model(config: try test.config, tensors(try test.weights, named: name))
    return scratch
  }

  @Test(arguments: ["bert", "roberta", "vit"]) func prefixesMayBeAbsent(_ family: String) throws {
    let test = EncoderCase(name: family)
    let scratch = try file(test) { $0.hasPrefix(family + ".") ? String($0.dropFirst(family.count + 1)) : $0 }
    try expectReference(test, in: scratch.path)
  }

  @Test(arguments: ["encoders/bert-without-pooler", "encoders/vit-pooled"]) func orThere(_ name: String) throws {
    let test = EncoderCase(name: name)
    let prefix = name.contains("bert") ? "bert." : "vit."
    let scratch = try file(test) { prefix + $0 }
    try expectReference(test, in: scratch.path)
  }

  /// As newer libraries have the modules in memory.
  @Test func vitInTheNewerSpelling() throws {
    let test = EncoderCase(name: "vit")
    let scratch = try file(test) { name in
      [
        ("encoder.layer.", "layers."), ("attention.attention.query", "attention.q_proj"),
        ("attention.attention.key", "attention.k_proj"), ("attention.attention.value", "attention.v_proj"),
        ("attention.output.dense", "attention.o_proj"), ("intermediate.dense", "mlp.fc1"), ("output.dense", "mlp.fc2"),
      ].reduce(name) { $0.replacing($1.0, with: $1.1) }
    }
    #expect(try SafetensorsFile(scratch["model.safetensors"]).entry("vit.layers.1.mlp.fc2.bias") != nil)
    try expectReference(test, in: scratch.path)
  }

  @Test(arguments: EncoderCase.families) func halfPrecision(_ test: EncoderCase) throws {
    let (scratch, wide, file) = (try Scratch(), try Scratch(), try test.weights)
    try scratch.model(
      config: try test.config,
      file.tensors.map { .init(name: $0.name, shape: $0.shape, floats: try file.floats(of: $0.name), as: .bf16) })
    let rounded = try SafetensorsFile(scratch["model.safetensors"])
    try wide.model(
      config: try test.config,
      rounded.tensors.map { .init(name: $0.name, shape: $0.shape, floats: try rounded.floats(of: $0.name)) })
    let input = try EncoderInput(test)
    let (narrow, expected) = (try ModelLoader.open(scratch.path), try ModelLoader.open(wide.path))
    #expect(narrow.parameters.allSatisfy { $0.type == .bf16 })
    let outputs = input.outputs(expected)
    for (name, output) in input.outputs(narrow) {
      #expect(largestDifference(output.floats, try #require(outputs[name]).floats) < 2e-6, "\(name)")
    }
  }

  @Test(arguments: EncoderCase.families) func absentFieldsHaveTheLibrarysDefaults(_ test: EncoderCase) throws {
    // What the cases have as the libraries' configs do.
    let scratch = try Scratch()
    var config = try test.config
    for line in [
      "\"hidden_act\": \"gelu\",", "\"hidden_act\": \"quick_gelu\",", "\"layer_norm_eps\": 1e-12,", "\"layer_norm_eps\": 1e-05,",
      "\"type_vocab_size\": 2,", "\"num_channels\": 3,", "\"qkv_bias\": true,", "\"pooler_act\": \"tanh\",",
      "\"initializer_range\": 0.02,", "\"is_decoder\": false,", "\"pad_token_id\": 1,", "\"pad_token_id\": 0,",
      "\"logit_scale_init_value\": 2.6592,", "\"architectures\": [\n    \"\(Self.architectures[test.name] ?? "")\"\n  ],",
    ] {
      config = config.replacing(line, with: "")
    }
    #expect(config.count < (try test.config.count) - 100)
    try scratch.model(config: config, tensors(try test.weights))
    try expectReference(test, in: scratch.path)
  }

  private static let architectures = [
    "bert": "BertForSequenceClassification", "roberta": "RobertaForSequenceClassification", "vit": "ViTForImageClassification",
    "clip": "CLIPModel",
  ]
}
