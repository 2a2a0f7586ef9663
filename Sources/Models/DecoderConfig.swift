import Files
import JSON

/// What distinguishes one decoder from another. The families differ in this description only, never in code paths of
/// their own.
struct DecoderConfig: Sendable {
  enum Norm: Sendable {
    case rms
    /// With mean and bias.
    case layer
  }

  enum Positions: Sendable {
    case rotary(RotarySettings)
    /// A table of vectors added to the embeddings.
    case learned
  }

  enum MLP: Sendable {
    /// down(silu(gate(x)) · up(x)).
    case gatedSiLU
    /// down(gelu(up(x))), GELU by its tanh approximation.
    case geluTanh
  }

  /// Probabilities with which entries are dropped, in training only.
  struct Dropout: Sendable {
    var embedding = 0.0
    var attention = 0.0
    var residual = 0.0
  }

  var modelType: String
  var names: DecoderNames
  var vocabularySize: Int
  var hiddenSize: Int
  var layers: Int
  var heads: Int
  /// Heads of keys and values, each shared by heads/groups queries.
  var groups: Int
  var headWidth: Int
  var innerSize: Int
  var maximumPositions: Int
  var norm: Norm
  var normEpsilon: Double
  var positions: Positions
  var mlp: MLP
  /// Whether query, key and value are one map whose output is split.
  var isAttentionFused = false
  var hasAttentionBias: Bool
  var hasMLPBias: Bool
  /// Whether maps are stored [inputs, outputs].
  var storesTransposed = false
  /// Whether the head is the embedding table.
  var isHeadTied: Bool
  /// Whether scores are divided by √headWidth.
  var scalesScores = true
  /// Whether they are divided by the layer's number, from 1, as well.
  var scalesScoresByLayer = false
  var dropout = Dropout()
  /// Standard deviation of fresh weights.
  var initializerRange: Double
  /// How weights are coded, where some are.
  var quantization: QuantizationConfig?

  func scoreScale(layer: Int) -> Double {
    let width = scalesScores ? 1 / Double(headWidth).squareRoot() : 1
    return scalesScoresByLayer ? width / Double(layer + 1) : width
  }
}

extension DecoderConfig {
  static let families: [(modelType: String, read: @Sendable (ConfigReader) throws(FileError) -> DecoderConfig)] = [
    ("gpt2", gpt2), ("llama", llama),
  ]

  /// Reads config.json; refuses a family or a setting that is not computed here.
  init(_ directory: ModelDirectory) throws(FileError) {
    let reader = ConfigReader(directory)
    let supported = "supported: \(Self.families.map(\.modelType).joined(separator: ", "))"
    guard let (_, value) = reader.value(["model_type"]) else { throw reader.missing("model_type", supported) }
    guard let family = Self.families.first(where: { $0.modelType == value.string }) else {
      throw reader.unsupported("model_type", value, supported)
    }
    try reader.demand("is_encoder_decoder", false)
    try reader.demand("add_cross_attention", false)
    try Self.checkType(reader)
    try Self.checkLayerTypes(reader)
    self = try family.read(reader)
    quantization = try QuantizationConfig(directory)
    guard heads % groups == 0 else {
      throw reader.unfit("num_key_value_heads", .int(groups), "it must divide the \(heads) attention heads")
    }
  }

  /// The declared type says nothing that the weights do not say themselves, but an unknown one tells of weights that
  /// cannot be read as they stand.
  static func checkType(_ reader: ConfigReader) throws(FileError) {
    guard let (name, value) = reader.value(["dtype", "torch_dtype"]) else { return }
    let known = ["float32", "float16", "bfloat16", "float64", "float", "half", "auto"]
    guard let string = value.string, known.contains(string.hasPrefix("torch.") ? String(string.dropFirst(6)) : string) else {
      throw reader.unsupported(name, value, "supported: float32, float16, bfloat16")
    }
  }

  private static func checkLayerTypes(_ reader: ConfigReader) throws(FileError) {
    guard let (name, value) = reader.value(["layer_types"]) else { return }
    guard let types = value.array else { throw reader.unfit(name, value, "a list is wanted") }
    if let other = types.first(where: { $0.string != "full_attention" }) {
      throw reader.unsupported(name, other, "only \"full_attention\" is")
    }
  }

  /// Width of a head where the config does not say it.
  static func derivedHeadWidth(_ reader: ConfigReader, hidden: Int, heads: Int) throws(FileError) -> Int {
    guard hidden % heads == 0 else {
      throw FileError(.badData, reader.file, "the hidden size \(hidden) is not divisible by \(heads) attention heads")
    }
    return hidden / heads
  }
}
