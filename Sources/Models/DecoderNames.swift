/// What a family calls the modules of a decoder.
struct DecoderNames: Sendable {
  /// What checkpoints of the bare decoder leave out.
  var prefix: String
  var embedding: String
  /// The table of learned positions.
  var positions: String?
  /// `<layers>.<index>.` comes before the names up to `down`.
  var layers: String
  var attentionNorm: String
  /// The maps that read the normed input, with what they are for: query, key and value, or all in one.
  var attention: [(name: String, use: String)]
  /// Norms over each head of query and key.
  var queryNorm: String?
  var keyNorm: String?
  var attentionOutput: String
  /// The norms of what the branches add.
  var attentionOutputNorm: String?
  var mlpNorm: String
  var gate: String?
  var up: String
  var down: String
  var mlpOutputNorm: String?
  var finalNorm: String
  var head = "lm_head"
  /// Endings of buffers that old checkpoints hold beside the weights: computed, never learned.
  var strays: [String]
}
