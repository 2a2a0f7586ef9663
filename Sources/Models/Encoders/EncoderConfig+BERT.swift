import Files
import JSON

extension EncoderConfig {
  /// BERT: norms after each part, positions from 0, token types. Absent fields have the defaults of `BertConfig`.
  static func bert(_ reader: ConfigReader) throws(FileError) -> EncoderConfig {
    try bert(reader, prefix: "bert.", vocabulary: 30522, positions: .counted)
  }

  /// RoBERTa: BERT with positions that begin behind the padding id. Absent fields have the defaults of `RobertaConfig`.
  static func roberta(_ reader: ConfigReader) throws(FileError) -> EncoderConfig {
    let padding = try reader.int("pad_token_id", default: 1, in: 0...Int(Int32.max) - 1)
    let config = try bert(reader, prefix: "roberta.", vocabulary: 50265, positions: .behindPadding(Int32(padding)))
    if case .text(let text) = config.input, text.longest < 1 {
      throw reader.unfit(
        "max_position_embeddings", .int(text.positionCount), "positions begin behind the padding id, at \(padding + 1)")
    }
    return config
  }

  private static func bert(
    _ reader: ConfigReader, prefix: String, vocabulary: Int, positions: Text.Positions
  ) throws(FileError) -> EncoderConfig {
    try reader.demandEncoder()
    let (hidden, heads, layers) = try reader.extent(hidden: 768, heads: 12)
    let text = Text(
      vocabularySize: try reader.int("vocab_size", default: vocabulary),
      positionCount: try reader.int("max_position_embeddings", default: 512), positions: positions,
      typeCount: try reader.int("type_vocab_size", default: 2))
    return EncoderConfig(
      names: .bert(prefix: prefix), input: .text(text), hiddenSize: hidden, layers: layers, heads: heads,
      headWidth: try DecoderConfig.derivedHeadWidth(reader, hidden: hidden, heads: heads),
      innerSize: try reader.int("intermediate_size", default: 3072), normOrder: .after,
      normEpsilon: try reader.double("layer_norm_eps", default: 1e-12, in: 0..<1),
      activation: try reader.activation("hidden_act", default: "gelu"), pooling: .dense(hidden, .tanh),
      dropout: Dropout(
        hidden: try reader.double("hidden_dropout_prob", default: 0.1, in: 0..<1),
        attention: try reader.double("attention_probs_dropout_prob", default: 0.1, in: 0..<1)),
      deviations: Deviations(all: try reader.double("initializer_range", default: 0.02, in: 0..<1)))
  }
}

extension EncoderNames {
  static func bert(prefix: String) -> EncoderNames {
    EncoderNames(
      prefix: prefix, tokens: "embeddings.word_embeddings", types: "embeddings.token_type_embeddings",
      positions: "embeddings.position_embeddings.weight", embeddingNorm: "embeddings.LayerNorm",
      layer: Layer(
        path: "encoder.layer", query: "attention.self.query", key: "attention.self.key", value: "attention.self.value",
        attentionOutput: "attention.output.dense", up: "intermediate.dense", down: "output.dense"),
      attentionNorm: "attention.output.LayerNorm", mlpNorm: "output.LayerNorm", pooler: "pooler.dense")
  }
}
