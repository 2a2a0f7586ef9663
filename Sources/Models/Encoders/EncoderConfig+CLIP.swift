import Files
import JSON

extension EncoderConfig {
  /// CLIP's text encoder: causal, norms before each part and after the last, pooled at the end of the text. Absent fields have
  /// the defaults of `CLIPTextConfig`.
  static func clipText(_ reader: ConfigReader) throws(FileError) -> EncoderConfig {
    let text = Text(
      vocabularySize: try reader.int("vocab_size", default: 49408),
      positionCount: try reader.int("max_position_embeddings", default: 77), positions: .counted)
    let end = try reader.int("eos_token_id", default: 49407, in: 0...Int(Int32.max))
    // Files from before the id was put right say 2: there the text ends at its largest id.
    var config = try clip(reader, .clipText, .text(text), hidden: 512, heads: 8, inner: 2048)
    config.pooling = .endOfText(end == 2 ? nil : Int32(end))
    config.isCausal = true
    let factor = try reader.double("initializer_factor", default: 1, in: 0..<1000)
    (config.deviations.tokens, config.deviations.positions) = (0.02 * factor, 0.02 * factor)
    return config
  }

  /// CLIP's image encoder: patches behind a class vector, a norm before all layers, norms before each part, the first row normed
  /// where it is pooled. Absent fields have the defaults of `CLIPVisionConfig`.
  static func clipVision(_ reader: ConfigReader) throws(FileError) -> EncoderConfig {
    for name in ["image_size", "patch_size"] {
      // The library computes with these as numbers.
      if let (_, value) = reader.value([name]), value.array != nil { throw reader.unfit(name, value, "an integer is wanted") }
    }
    let image = try reader.image(patch: 32, hasPatchBias: false)
    return try clip(reader, .clipVision, .image(image), hidden: 768, heads: 12, inner: 3072)
  }

  private static func clip(
    _ reader: ConfigReader, _ names: EncoderNames, _ input: Input, hidden: Int, heads: Int, inner: Int
  ) throws(FileError) -> EncoderConfig {
    try reader.demandEncoder()
    let (hidden, heads, layers) = try reader.extent(hidden: hidden, heads: heads)
    let factor = try reader.double("initializer_factor", default: 1, in: 0..<1000)
    let range = try reader.double("initializer_range", default: 0.02, in: 0..<1)
    var deviations = Deviations(all: range * factor)
    let (width, depth) = (Double(hidden).squareRoot(), Double(2 * layers).squareRoot())
    deviations.classRow = factor / width
    deviations.attentionInput = factor / (width * depth)
    deviations.attentionOutput = factor / width
    deviations.up = factor / (2 * Double(hidden)).squareRoot()
    deviations.down = factor / (width * depth)
    return EncoderConfig(
      names: names, input: input, hiddenSize: hidden, layers: layers, heads: heads,
      headWidth: try DecoderConfig.derivedHeadWidth(reader, hidden: hidden, heads: heads),
      innerSize: try reader.int("intermediate_size", default: inner), normOrder: .before,
      normEpsilon: try reader.double("layer_norm_eps", default: 1e-5, in: 0..<1),
      activation: try reader.activation("hidden_act", default: "quick_gelu"), pooling: .first,
      dropout: Dropout(attention: try reader.double("attention_dropout", default: 0, in: 0..<1)), deviations: deviations)
  }
}

extension EncoderNames {
  private static let clipLayer = Layer(
    path: "encoder.layers", query: "self_attn.q_proj", key: "self_attn.k_proj", value: "self_attn.v_proj",
    attentionOutput: "self_attn.out_proj", up: "mlp.fc1", down: "mlp.fc2")

  static let clipText = EncoderNames(
    prefix: "text_model.", tokens: "embeddings.token_embedding", positions: "embeddings.position_embedding.weight",
    layer: clipLayer, attentionNorm: "layer_norm1", mlpNorm: "layer_norm2", finalNorm: "final_layer_norm")

  /// The spelling is the library's.
  static let clipVision = EncoderNames(
    prefix: "vision_model.", classRow: "embeddings.class_embedding", patches: "embeddings.patch_embedding",
    positions: "embeddings.position_embedding.weight", embeddingNorm: "pre_layrnorm", layer: clipLayer,
    attentionNorm: "layer_norm1", mlpNorm: "layer_norm2", pooledNorm: "post_layernorm")
}
