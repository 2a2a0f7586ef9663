import Files

extension DecoderConfig {
  /// Gemma 2: Llama with scaled embeddings, norms before and after each branch whose factors are stored less 1, gated GELU, scores
  /// and logits that are capped, and a window in every other layer. Absent fields have the defaults of `Gemma2Config`, where a cap
  /// that is null is none.
  @Sendable static func gemma2(_ reader: ConfigReader) throws(FileError) -> DecoderConfig {
    try reader.demand("use_bidirectional_attention", false)
    try reader.demand("mlp_bias", false)
    var config = try llamaShaped(
      reader, "gemma2",
      Defaults(
        vocabulary: 256_000, hidden: 2304, inner: 9216, layers: 26, heads: 8, groups: 4, headWidth: 256, positions: 8192,
        isHeadTied: true, activation: ("hidden_activation", "gelu_pytorch_tanh")))
    config.names = .gemma2
    config.gainOffset = 1
    config.embeddingScale = Double(config.hiddenSize).squareRoot()
    config.scoreCap = try reader.doubleOrNone("attn_logit_softcapping", default: 50)
    config.logitCap = try reader.doubleOrNone("final_logit_softcapping", default: 30)
    let width = try reader.doubleOrNone("query_pre_attn_scalar", default: 256) ?? 256
    for index in config.layers.indices { config.layers[index].scoreScale = 1 / width.squareRoot() }
    let kinds = try layerKinds(reader, count: config.layers.count) { $0 % 2 == 0 ? .sliding : .full }
    try config.setLayers(reader, kinds, window: try reader.intOrNone("sliding_window", default: 4096))
    try config.setAttentionBias(reader)
    return config
  }
}

extension DecoderNames {
  static let gemma2: DecoderNames = {
    var names = DecoderNames.llama
    names.attentionOutputNorm = "post_attention_layernorm"
    names.mlpNorm = "pre_feedforward_layernorm"
    names.mlpOutputNorm = "post_feedforward_layernorm"
    return names
  }()
}
