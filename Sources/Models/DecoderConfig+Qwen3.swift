import Files

extension DecoderConfig {
  /// Qwen 3: Llama with norms over each head of query and key, a head width of its own, and windows as Qwen 2 has them. Absent
  /// fields have the defaults of `Qwen3Config`.
  @Sendable static func qwen3(_ reader: ConfigReader) throws(FileError) -> DecoderConfig {
    try reader.demand("mlp_bias", false)
    var defaults = Defaults.qwen
    defaults.headWidth = 128
    var config = try llamaShaped(reader, "qwen3", defaults)
    config.names.queryNorm = "self_attn.q_norm"
    config.names.keyNorm = "self_attn.k_norm"
    try config.setAttentionBias(reader)
    try config.setQwenLayers(reader)
    return config
  }
}
