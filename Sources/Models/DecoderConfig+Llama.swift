import Files
import JSON

extension DecoderConfig {
  /// What a family of Llama's shape takes for fields that a config leaves out.
  struct Defaults {
    var vocabulary = 32_000
    var hidden = 4096
    var inner = 11_008
    var layers = 32
    var heads = 32
    /// Nil for as many as there are heads.
    var groups: Int?
    /// Nil for the hidden size shared among the heads.
    var headWidth: Int?
    var positions = 2048
    var isHeadTied = false
    /// The function of the gate, and the field that names it.
    var activation = (field: "hidden_act", name: "silu")
  }

  /// Llama 1 to 3, SmolLM, TinyLlama: RMS norms, rotary positions, gated SiLU, grouped queries. Absent fields have the defaults of
  /// `LlamaConfig`.
  @Sendable static func llama(_ reader: ConfigReader) throws(FileError) -> DecoderConfig {
    try reader.demand("rope_interleaved", false)
    var config = try llamaShaped(reader, "llama", Defaults())
    let kinds = try layerKinds(reader, count: config.layers.count, all: .full)
    try config.setLayers(reader, kinds)
    try config.setAttentionBias(reader)
    config.hasMLPBias = try reader.bool("mlp_bias", default: false)
    return config
  }

  /// What families of Llama's shape have in common; the layers are as many as they should be, and to be set.
  static func llamaShaped(
    _ reader: ConfigReader, _ modelType: String, _ defaults: Defaults
  ) throws(FileError) -> DecoderConfig {
    let activation = try reader.activation(defaults.activation.field, default: defaults.activation.name)
    let hidden = try reader.int("hidden_size", default: defaults.hidden)
    let heads = try reader.int("num_attention_heads", default: defaults.heads)
    var width = defaults.headWidth ?? 0
    if width > 0 || reader.value(["head_dim"]) != nil {
      width = try reader.int("head_dim", default: width)
    } else {
      width = try derivedHeadWidth(reader, hidden: hidden, heads: heads)
    }
    let layer = Layer(scoreScale: 1 / Double(width).squareRoot())
    return DecoderConfig(
      modelType: modelType, names: .llama, vocabularySize: try reader.int("vocab_size", default: defaults.vocabulary),
      hiddenSize: hidden,
      layers: Array(
        repeating: layer, count: try reader.int("num_hidden_layers", default: defaults.layers, in: 1...10_000)),
      heads: heads, groups: try reader.intOrNone("num_key_value_heads", default: defaults.groups) ?? heads, headWidth: width,
      innerSize: try reader.int("intermediate_size", default: defaults.inner),
      maximumPositions: try reader.int("max_position_embeddings", default: defaults.positions), norm: .rms,
      normEpsilon: try reader.double("rms_norm_eps", default: 1e-6, in: 0..<1), mlp: .gated(activation),
      isHeadTied: try reader.bool("tie_word_embeddings", default: defaults.isHeadTied),
      dropout: Dropout(attention: try reader.double("attention_dropout", default: 0, in: 0..<1)),
      initializerRange: try reader.double("initializer_range", default: 0.02, in: 0..<1))
  }

  /// Gives every layer what its kind has: rotary positions, and to sliding ones the window.
  mutating func setLayers(_ reader: ConfigReader, _ kinds: [LayerKind], window: Int? = nil) throws(FileError) {
    let rotary = try RotarySettings.all(
      reader, kinds: Set(kinds), width: headWidth, maximumPositions: maximumPositions)
    if kinds.contains(.sliding), window == nil {
      throw reader.missing("sliding_window", "layers of this model are sliding_attention")
    }
    for (index, kind) in kinds.enumerated() {
      layers[index].rotary = rotary[kind]
      layers[index].window = kind == .sliding ? window : nil
    }
    maximumPositions = rotary.values.map { $0.extended(maximumPositions) }.min() ?? maximumPositions
  }

  /// Where one field is for all four maps of attention.
  mutating func setAttentionBias(_ reader: ConfigReader) throws(FileError) {
    hasAttentionBias = try reader.bool("attention_bias", default: false)
    hasAttentionOutputBias = hasAttentionBias
  }
}

extension DecoderNames {
  static let llama = DecoderNames(
    prefix: "model.", embedding: "model.embed_tokens", positions: nil, layers: "model.layers",
    attentionNorm: "input_layernorm",
    attention: [
      ("self_attn.q_proj", "attention.query"), ("self_attn.k_proj", "attention.key"), ("self_attn.v_proj", "attention.value"),
    ],
    attentionOutput: "self_attn.o_proj", mlpNorm: "post_attention_layernorm", gate: "mlp.gate_proj", up: "mlp.up_proj",
    down: "mlp.down_proj", finalNorm: "model.norm", strays: [".rotary_emb.inv_freq"])
}
