import Files
import JSON

extension EncoderConfig {
  /// ViT: patches behind a class vector, norms before each part and after the last. Absent fields have the defaults of
  /// `ViTConfig`.
  static func vit(_ reader: ConfigReader) throws(FileError) -> EncoderConfig {
    try reader.demandEncoder()
    let (hidden, heads, layers) = try reader.extent(hidden: 768, heads: 12)
    let width = try reader.int("head_dim", default: hidden / heads, in: 1...max(1, Int(Int32.max) / heads))
    guard width > 0 else { throw reader.unfit("num_attention_heads", .int(heads), "the hidden size is \(hidden)") }
    // Zero counts as absent, as it does for those who write these files.
    let pooled = try reader.int("pooler_output_size", default: hidden, in: 0...Int(Int32.max))
    return EncoderConfig(
      names: .vit, input: .image(try reader.image(patch: 16, hasPatchBias: true)), hiddenSize: hidden, layers: layers,
      heads: heads, headWidth: width, innerSize: try reader.int("intermediate_size", default: 3072), normOrder: .before,
      normEpsilon: try reader.double("layer_norm_eps", default: 1e-12, in: 0..<1),
      activation: try reader.activation("hidden_act", default: "gelu"),
      hasQueryBias: try reader.bool("qkv_bias", default: true),
      pooling: .dense(pooled == 0 ? hidden : pooled, try reader.activation("pooler_act", default: "tanh")),
      dropout: Dropout(
        hidden: try reader.double("hidden_dropout_prob", default: 0, in: 0..<1),
        attention: try reader.double("attention_probs_dropout_prob", default: 0, in: 0..<1)),
      deviations: Deviations(all: try reader.double("initializer_range", default: 0.02, in: 0..<1)))
  }
}

extension EncoderNames {
  static let vit = EncoderNames(
    prefix: "vit.", classRow: "embeddings.cls_token", patches: "embeddings.patch_embeddings.projection",
    positions: "embeddings.position_embeddings", isBatched: true,
    layer: Layer(
      path: "encoder.layer", query: "attention.attention.query", key: "attention.attention.key",
      value: "attention.attention.value", attentionOutput: "attention.output.dense", up: "intermediate.dense",
      down: "output.dense"),
    newerLayer: Layer(
      path: "layers", query: "attention.q_proj", key: "attention.k_proj", value: "attention.v_proj",
      attentionOutput: "attention.o_proj", up: "mlp.fc1", down: "mlp.fc2"),
    attentionNorm: "layernorm_before", mlpNorm: "layernorm_after", finalNorm: "layernorm", pooler: "pooler.dense")
}
