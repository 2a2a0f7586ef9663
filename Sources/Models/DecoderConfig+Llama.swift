import Files
import JSON

extension DecoderConfig {
  /// Llama 1 to 3: RMS norms, rotary positions, gated SiLU, grouped queries. Absent fields have the defaults of
  /// `LlamaConfig`.
  @Sendable static func llama(_ reader: ConfigReader) throws(FileError) -> DecoderConfig {
    _ = try reader.choice("hidden_act", default: "silu", supported: ["silu"])
    let hidden = try reader.int("hidden_size", default: 4096)
    let heads = try reader.int("num_attention_heads", default: 32)
    let positions = try reader.int("max_position_embeddings", default: 2048)
    let width =
      reader.value(["head_dim"]) == nil
      ? try derivedHeadWidth(reader, hidden: hidden, heads: heads) : try reader.int("head_dim", default: 0)
    return DecoderConfig(
      modelType: "llama", names: .llama, vocabularySize: try reader.int("vocab_size", default: 32000), hiddenSize: hidden,
      layers: try reader.int("num_hidden_layers", default: 32, in: 1...10_000), heads: heads,
      groups: try reader.int("num_key_value_heads", default: heads), headWidth: width,
      innerSize: try reader.int("intermediate_size", default: 11008), maximumPositions: positions, norm: .rms,
      normEpsilon: try reader.double("rms_norm_eps", default: 1e-6, in: 0..<1),
      positions: .rotary(try RotarySettings(reader, width: width, maximumPositions: positions)), mlp: .gatedSiLU,
      hasAttentionBias: try reader.bool("attention_bias", default: false),
      hasMLPBias: try reader.bool("mlp_bias", default: false),
      isHeadTied: try reader.bool("tie_word_embeddings", default: false),
      dropout: Dropout(attention: try reader.double("attention_dropout", default: 0, in: 0..<1)),
      initializerRange: try reader.double("initializer_range", default: 0.02, in: 0..<1))
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
