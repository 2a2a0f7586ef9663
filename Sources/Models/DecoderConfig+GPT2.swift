import Files
import JSON

extension DecoderConfig {
  /// GPT-2: layer norms, learned positions, GELU, one map for query, key and value, everything stored [inputs, outputs].
  /// Absent fields have the defaults of `GPT2Config`.
  ///
  /// `reorder_and_upcast_attn` changes the order of roundings in half precision only, and nothing here.
  @Sendable static func gpt2(_ reader: ConfigReader) throws(FileError) -> DecoderConfig {
    let hidden = try reader.int("n_embd", "hidden_size", default: 768)
    let heads = try reader.int("n_head", "num_attention_heads", default: 12)
    let width = try derivedHeadWidth(reader, hidden: hidden, heads: heads)
    let count = try reader.int("n_layer", "num_hidden_layers", default: 12, in: 1...10_000)
    _ = try layerKinds(reader, count: count, all: .full)
    let scale = try reader.bool("scale_attn_weights", default: true) ? 1 / Double(width).squareRoot() : 1
    let scalesByLayer = try reader.bool("scale_attn_by_inverse_layer_idx", default: false)
    return DecoderConfig(
      modelType: "gpt2", names: .gpt2, vocabularySize: try reader.int("vocab_size", default: 50257), hiddenSize: hidden,
      layers: (0..<count).map { Layer(scoreScale: scalesByLayer ? scale / Double($0 + 1) : scale) }, heads: heads, groups: heads,
      headWidth: width, innerSize: try reader.int("n_inner", default: 4 * hidden, in: 1...Int(Int32.max)),
      maximumPositions: try reader.int("n_positions", "max_position_embeddings", default: 1024), norm: .layer,
      normEpsilon: try reader.double("layer_norm_epsilon", default: 1e-5, in: 0..<1),
      mlp: .plain(try reader.activation("activation_function", default: "gelu_new")), isAttentionFused: true,
      hasAttentionBias: true, hasAttentionOutputBias: true, hasMLPBias: true, storesTransposed: true,
      isHeadTied: try reader.bool("tie_word_embeddings", default: true),
      dropout: Dropout(
        embedding: try reader.double("embd_pdrop", default: 0.1, in: 0..<1),
        attention: try reader.double("attn_pdrop", default: 0.1, in: 0..<1),
        residual: try reader.double("resid_pdrop", default: 0.1, in: 0..<1)),
      initializerRange: try reader.double("initializer_range", default: 0.02, in: 0..<1))
  }
}

extension DecoderNames {
  static let gpt2 = DecoderNames(
    prefix: "transformer.", embedding: "transformer.wte", positions: "transformer.wpe", layers: "transformer.h",
    attentionNorm: "ln_1", attention: [("attn.c_attn", "attention.qkv")], attentionOutput: "attn.c_proj", mlpNorm: "ln_2",
    gate: nil, up: "mlp.c_fc", down: "mlp.c_proj", finalNorm: "transformer.ln_f",
    strays: [".attn.bias", ".attn.masked_bias"])
}
