import Files
import JSON

/// What distinguishes one encoder from another. The families differ in this description only, never in code paths of their own.
struct EncoderConfig: Sendable {
  enum Input: Sendable {
    case text(Text)
    case image(Image)
  }

  struct Text: Sendable {
    enum Positions: Sendable {
      /// From 0 on.
      case counted
      /// From behind the padding id on, over the ids that are not padding; padding has that id's own position.
      case behindPadding(Int32)
    }

    var vocabularySize: Int
    /// Rows of the table of positions.
    var positionCount: Int
    var positions: Positions
    /// Rows of the table of token types; 0 for no such table.
    var typeCount = 0

    /// Tokens of the longest sequence.
    var longest: Int {
      switch positions {
      case .counted: positionCount
      case .behindPadding(let id): positionCount - Int(id) - 1
      }
    }
  }

  struct Image: Sendable {
    var shape: ImageShape
    var patch: (height: Int, width: Int)
    var hasPatchBias: Bool

    var patchCount: Int { (shape.height / patch.height) * (shape.width / patch.width) }
  }

  enum NormOrder: Sendable {
    /// x + f(norm(x)).
    case before
    /// norm(x + f(x)).
    case after
  }

  /// What becomes of a sequence's hidden states where one row is to stand for it.
  enum Pooling: Sendable {
    case none
    /// A map and a function of the first row, to that many numbers.
    case dense(Int, Activation)
    /// The first row, normed.
    case first
    /// The row of the first such id, or of the sequence's largest id where that is nil.
    case endOfText(Int32?)
  }

  /// Probabilities with which entries are dropped, in training only.
  struct Dropout: Sendable {
    var hidden = 0.0
    var attention = 0.0
  }

  /// Standard deviations of fresh weights.
  struct Deviations: Sendable {
    var tokens: Double
    var positions: Double
    var classRow: Double
    var patches: Double
    var attentionInput: Double
    var attentionOutput: Double
    var up: Double
    var down: Double
    /// Of poolers and heads.
    var others: Double

    init(all deviation: Double) {
      (tokens, positions, classRow, patches) = (deviation, deviation, deviation, deviation)
      (attentionInput, attentionOutput, up, down) = (deviation, deviation, deviation, deviation)
      others = deviation
    }
  }

  var names: EncoderNames
  var input: Input
  var hiddenSize: Int
  var layers: Int
  var heads: Int
  var headWidth: Int
  var innerSize: Int
  var normOrder: NormOrder
  var normEpsilon: Double
  var activation: Activation
  /// Whether a position sees those behind it.
  var isCausal = false
  var hasQueryBias = true
  var pooling: Pooling
  var dropout = Dropout()
  var deviations: Deviations
}

/// Extent of the images a model reads.
public struct ImageShape: Sendable, Hashable {
  public var channels: Int
  public var height: Int
  public var width: Int

  public init(channels: Int, height: Int, width: Int) {
    self.channels = channels
    self.height = height
    self.width = width
  }
}

extension ConfigReader {
  /// Hidden size, heads and layers by the names that all encoders have for them.
  func extent(hidden: Int, heads: Int, layers: Int = 12) throws(FileError) -> (hidden: Int, heads: Int, layers: Int) {
    (
      try int("hidden_size", default: hidden), try int("num_attention_heads", default: heads),
      try int("num_hidden_layers", default: layers, in: 1...10_000)
    )
  }

  /// A size that is one number, or a list of height and width.
  func pair(_ name: String, default fallback: Int) throws(FileError) -> (height: Int, width: Int) {
    guard let (_, value) = value([name]), let list = value.array else {
      let side = try int(name, default: fallback, in: 1...1 << 16)
      return (side, side)
    }
    let numbers = list.compactMap(\.int).filter { (1...1 << 16).contains($0) }
    guard list.count == 2, numbers.count == 2 else {
      throw unfit(name, value, "an integer from 1 to \(1 << 16) is wanted, or a list of height and width")
    }
    return (numbers[0], numbers[1])
  }

  /// Settings of images; refuses patches that are larger than the image.
  func image(patch: Int, hasPatchBias: Bool) throws(FileError) -> EncoderConfig.Image {
    let size = try pair("image_size", default: 224)
    let patch = try pair("patch_size", default: patch)
    guard patch.height <= size.height, patch.width <= size.width else {
      throw unfit("patch_size", value(["patch_size"])?.value ?? .int(patch.height), "the image is \(size.height) × \(size.width)")
    }
    try demand("interpolate_pos_encoding", false)
    let channels = try int("num_channels", default: 3, in: 1...1 << 16)
    return EncoderConfig.Image(
      shape: ImageShape(channels: channels, height: size.height, width: size.width), patch: patch, hasPatchBias: hasPatchBias)
  }

  /// What no encoder here does.
  func demandEncoder() throws(FileError) {
    try demand("is_decoder", false)
    try demand("add_cross_attention", false)
    try demand("is_encoder_decoder", false)
    try demand("position_embedding_type", "absolute")
    guard let (name, value) = value(["pruned_heads"]), value.members?.isEmpty != true else { return }
    throw unsupported(name, value, "only whole layers of heads are")
  }
}
