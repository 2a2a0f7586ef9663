/// What a family calls the modules of an encoder.
struct EncoderNames: Sendable {
  /// The maps of a layer.
  struct Layer: Sendable {
    /// `<path>.<index>.` comes before the others.
    var path: String
    var query: String
    var key: String
    var value: String
    var attentionOutput: String
    var up: String
    var down: String
  }

  /// Comes before every other name here; files of the bare encoder may leave it out.
  var prefix: String
  /// The table of tokens, of texts.
  var tokens: String?
  /// The table of token types.
  var types: String?
  /// The vector that stands before the patches of an image, and the map of patches.
  var classRow: String?
  var patches: String?
  /// The tensor of positions.
  var positions: String
  /// Whether vectors that are no map's and no table's are stored with axes of length 1 in front.
  var isBatched = false
  var embeddingNorm: String?
  /// As files have it.
  var layer: Layer
  /// As newer libraries have it.
  var newerLayer: Layer?
  var attentionNorm: String
  var mlpNorm: String
  var finalNorm: String?
  /// The norm of the pooled row.
  var pooledNorm: String?
  var pooler: String?
}
