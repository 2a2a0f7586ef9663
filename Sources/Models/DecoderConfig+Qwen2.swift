import Files

extension DecoderConfig {
  /// Qwen 2 and 2.5: Llama with biases on query, key and value, and windows in some layers where they are wanted. Absent fields
  /// have the defaults of `Qwen2Config`.
  @Sendable static func qwen2(_ reader: ConfigReader) throws(FileError) -> DecoderConfig {
    try reader.demand("attention_bias", true)
    try reader.demand("mlp_bias", false)
    var config = try llamaShaped(reader, "qwen2", .qwen)
    config.hasAttentionBias = true
    try config.setQwenLayers(reader)
    return config
  }

  /// From `max_window_layers` on layers have a window, if `use_sliding_window` says so, or those that `layer_types` names.
  mutating func setQwenLayers(_ reader: ConfigReader) throws(FileError) {
    let isSliding = try reader.bool("use_sliding_window", default: false)
    let window = try isSliding ? reader.intOrNone("sliding_window", default: 4096) : nil
    let full = try reader.int("max_window_layers", default: 28, in: 0...Int(Int32.max))
    let kinds = try Self.layerKinds(reader, count: layers.count) { window != nil && $0 >= full ? .sliding : .full }
    if !isSliding, kinds.contains(.sliding) {
      throw reader.unsupported("use_sliding_window", false, "layer_types has layers that are sliding_attention")
    }
    try setLayers(reader, kinds, window: window)
  }
}

extension DecoderConfig.Defaults {
  static let qwen = Self(vocabulary: 151_936, inner: 22_016, groups: 32, positions: 32_768)
}
