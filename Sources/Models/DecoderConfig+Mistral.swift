import Files

extension DecoderConfig {
  /// Mistral: Llama with a window over which every layer looks back. Absent fields have the defaults of `MistralConfig`, where a
  /// window that is absent is one of 4096 and one that is null is none.
  @Sendable static func mistral(_ reader: ConfigReader) throws(FileError) -> DecoderConfig {
    try reader.demand("attention_bias", false)
    try reader.demand("mlp_bias", false)
    var config = try llamaShaped(reader, "mistral", Defaults(inner: 14_336, groups: 8, positions: 131_072))
    let window = try reader.intOrNone("sliding_window", default: 4096)
    let kinds = try layerKinds(reader, count: config.layers.count, all: window == nil ? .full : .sliding)
    try config.setLayers(reader, kinds, window: window)
    return config
  }
}
