import Files
import Models
import Testing

@Suite struct RefusalTests {
  /// A change of the fixture's config and what is said about it.
  struct Case: Sendable, CustomTestStringConvertible {
    var fixture: Fixture
    var old: String
    var new: String
    var message: String
    var testDescription: String { new }

    init(_ fixture: Fixture, _ old: String, _ new: String, _ message: String) {
      (self.fixture, self.old, self.new, self.message) = (fixture, old, new, message)
    }
  }

  private static let activations =
    "supported: gelu, gelu_python, gelu_new, gelu_pytorch_tanh, gelu_python_tanh, gelu_fast, gelu_accurate, quick_gelu, relu, relu2, "
    + "silu, swish, tanh, sigmoid, linear"
  private static let ropes = "supported: default, linear, dynamic, yarn, longrope, llama3, proportional"
  private static let cases = [
    Case(
      .llama, "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"",
      "model_type: \"mamba\" is not supported (supported: gpt2, llama, mistral, qwen2, qwen3, gemma2)"),
    Case(
      .llama, "\"model_type\": \"llama\",", "", "model_type is missing (supported: gpt2, llama, mistral, qwen2, qwen3, gemma2)"),
    Case(.llama, "\"silu\"", "\"relu6\"", "hidden_act: \"relu6\" is not supported (\(activations))"),
    Case(.gpt2, "\"gelu_new\"", "\"gelu_10\"", "activation_function: \"gelu_10\" is not supported (\(activations))"),
    Case(
      .gemma2, "\"gelu_pytorch_tanh\"", "\"xielu\"", "hidden_activation: \"xielu\" is not supported (\(activations))"),
    Case(
      .llama, "\"rope_type\": \"default\"", "\"rope_type\": \"mrope\"",
      "rope_parameters.rope_type: \"mrope\" is not supported (\(ropes))"),
    Case(
      .qwen3, "\"rope_type\": \"default\"", "\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5",
      "rope_parameters.partial_rotary_factor: 0.5 is not supported (only 1 is, but for rope_type proportional)"),
    Case(
      .qwen3, "\"rope_type\": \"default\"", "\"rope_type\": \"longrope\", \"short_factor\": [1], \"long_factor\": [1]",
      "rope_parameters.short_factor: [1] does not fit (a list of 8 positive numbers is wanted, half of head_dim)"),
    Case(
      .llama, "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\", \"mscale\": -1",
      "rope_parameters.mscale: -1 does not fit (a number from 0 on is wanted)"),
    Case(
      .llama, "\"rope_type\": \"default\"", "\"foo\": {}",
      "rope_parameters.rope_theta: 10000.0 is not supported "
        + "(settings by layer are objects under full_attention, sliding_attention)"),
    Case(
      .llama, "\"rope_type\": \"default\"", "\"rope_type\": \"linear\"",
      "rope_parameters.factor is missing (this rope_type needs it)"),
    Case(
      .llama, "\"use_cache\": true", "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 0}",
      "rope_scaling.factor: 0 does not fit (a positive number is wanted)"),
    Case(
      .llama, "\"use_cache\": true", "\"quantization_config\": {\"bits\": 4}",
      "quantization_config.quant_method is missing (supported: swift-peft, gptq, and weights in F32, F16 and BF16)"),
    Case(
      .llama, "\"use_cache\": true", "\"quantization_config\": {\"quant_method\": \"awq\"}",
      "quantization_config.quant_method: \"awq\" is not supported "
        + "(supported: swift-peft, gptq, and weights in F32, F16 and BF16)"),
    Case(
      .llama, "\"use_cache\": true", "\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 5}",
      "quantization_config.bits: 5 does not fit (2, 3, 4 or 8 is wanted)"),
    Case(
      .llama, "\"use_cache\": true", "\"layer_types\": [\"full_attention\", \"sliding_attention\"]",
      "layer_types: \"sliding_attention\" is not supported (all layers of this model are full_attention)"),
    Case(
      .qwen2, "\"full_attention\",", "\"full_attention\", \"full_attention\",",
      "layer_types: [\"full_attention\", \"full_attention\", \"full_attention\"] does not fit "
        + "(a list with one entry for each of the 2 layers is wanted)"),
    Case(
      .qwen2, "\"full_attention\",", "\"sliding_attention\",",
      "use_sliding_window: false is not supported (layer_types has layers that are sliding_attention)"),
    Case(
      .qwen2, "\"full_attention\",", "\"chunked_attention\",",
      "layer_types: \"chunked_attention\" is not supported (supported: full_attention, sliding_attention)"),
    Case(
      .gemma2, "\"sliding_window\": 4096", "\"sliding_window\": null",
      "sliding_window is missing (layers of this model are sliding_attention)"),
    Case(
      .gemma2, "\"sliding_window\": 4096", "\"sliding_window\": 0",
      "sliding_window: 0 does not fit (an integer from 1 to 2147483647 is wanted)"),
    Case(
      .gemma2, "\"final_logit_softcapping\": 30.0", "\"final_logit_softcapping\": 0",
      "final_logit_softcapping: 0 does not fit (a positive number, or null, is wanted)"),
    Case(
      .gemma2, "\"use_bidirectional_attention\": null", "\"use_bidirectional_attention\": true",
      "use_bidirectional_attention: true is not supported (only false is)"),
    Case(
      .llama, "\"use_cache\": true", "\"per_layer_config\": {\"0\": {\"hidden_size\": 8}}",
      "per_layer_config: an object is not supported (layers differ by layer_types only)"),
    Case(
      .gpt2, "\"add_cross_attention\": false", "\"add_cross_attention\": true",
      "add_cross_attention: true is not supported (only false is)"),
    Case(
      .llama, "\"dtype\": \"float32\"", "\"dtype\": \"float8_e4m3fn\"",
      "dtype: \"float8_e4m3fn\" is not supported (supported: float32, float16, bfloat16)"),
    Case(
      .llama, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3",
      "num_key_value_heads: 3 does not fit (it must divide the 4 attention heads)"),
    Case(
      .llama, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": -1",
      "num_hidden_layers: -1 does not fit (an integer from 1 to 10000 is wanted)"),
    Case(.llama, "\"head_dim\": 12", "\"head_dim\": 13", "head_dim: 13 does not fit (rotary positions need an even width)"),
    Case(.gpt2, "\"n_head\": 4", "\"n_head\": 5", "the hidden size 48 is not divisible by 5 attention heads"),
    Case(
      .llama, "\"attention_bias\": false", "\"attention_bias\": \"no\"",
      "attention_bias: \"no\" does not fit (true or false is wanted)"),
  ]

  @Test(arguments: cases) func settingsAreRefusedByName(_ refused: Case) throws {
    let scratch = try Scratch()
    let config = try refused.fixture.config
    #expect(config.contains(refused.old))
    try scratch.model(config: config.replacing(refused.old, with: refused.new), tensors(refused.fixture.weights))
    #expect(scratch.refusal() == "config.json: " + refused.message)
  }

  @Test func aDrawnModelMustFitTheMachine() throws {
    let scratch = try Scratch()
    try scratch.put("config.json", "{\"model_type\": \"llama\", \"hidden_size\": 2147483646, \"num_attention_heads\": 1}")
    let error = #expect(throws: FileError.self) { try ModelLoader.fresh(config: scratch.path, seed: 0) }
    #expect(error?.what == "describes a model that does not fit this machine" && error?.kind == .badData)
  }

  @Test func tensorsAreRefusedByName() throws {
    let (scratch, config) = (try Scratch(), try Fixture.llama.config)
    let file = try Fixture.llama.weights
    let remedy = "check that config.json belongs to these weights"
    let name = "model.layers.1.mlp.up_proj.weight"
    let others = tensors(file).filter { $0.name != name }
    try scratch.model(config: config, others)
    #expect(scratch.refusal() == "DIR: the weights lack '\(name)'; \(remedy)")
    try scratch.model(config: config, tensors(file) + [.init(name: "model.extra", shape: [1], floats: [0])])
    #expect(
      scratch.refusal()
        == "DIR: the weights hold the unexpected 'model.extra' (a llama model has no such tensors); \(remedy)")
    try scratch.model(config: config, others + [.init(name: name, shape: [1, 2], floats: [0, 0])])
    #expect(scratch.refusal() == "model.safetensors: tensor '\(name)' has shape [1, 2] (config.json calls for [80, 48])")
    try scratch.model(config: config, others + [.init(name: name, shape: [80, 48], ints: Array(repeating: 0, count: 80 * 48))])
    #expect(scratch.refusal() == "model.safetensors: tensor '\(name)' is I64 (weights are F32, F16 or BF16)")
    try scratch.model(
      config: config, tensors(file) + [.init(name: "norm.weight", shape: [48], floats: Array(repeating: 1, count: 48))])
    #expect(scratch.refusal() == "DIR: holds one tensor under two names, 'model.norm.weight' and 'norm.weight'")
    try scratch.model(config: config, tensors(file).filter { $0.name != "lm_head.weight" })
    #expect(
      scratch.refusal()
        == "DIR: the weights lack 'lm_head.weight' (config.json says tie_word_embeddings: false); "
        + "set tie_word_embeddings to true if the head is the embedding table")
    try scratch.model(config: config, tensors(try Fixture.gpt2.weights))
    #expect(
      scratch.refusal()
        == "DIR: the weights lack 'model.embed_tokens.weight', 'model.layers.0.input_layernorm.weight', "
        + "'model.layers.0.self_attn.q_proj.weight', 'model.layers.0.self_attn.k_proj.weight' and 17 more tensors "
        + "(they hold the unexpected 'transformer.h.0.attn.c_attn.bias', 'transformer.h.0.attn.c_attn.weight', "
        + "'transformer.h.0.attn.c_proj.bias', 'transformer.h.0.attn.c_proj.weight' and 24 more tensors); \(remedy)")
  }
}
