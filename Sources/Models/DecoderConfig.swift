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

  enum MLP: Sendable {
    /// down(f(gate(x)) · up(x)).
    case gated(Activation)
    /// down(f(up(x))).
    case plain(Activation)
  }

  /// Probabilities with which entries are dropped, in training only.
  struct Dropout: Sendable {
    var embedding = 0.0
    var attention = 0.0
    var residual = 0.0
  }

  /// What may differ between one layer and the next.
  struct Layer: Sendable {
    /// What scores are multiplied by.
    var scoreScale: Double
    /// How many positions a query sees, its own the last of them; nil for all up to its own.
    var window: Int?
    /// Nil where positions are learned.
    var rotary: RotarySettings?
  }

  var modelType: String
  var names: DecoderNames
  var vocabularySize: Int
  var hiddenSize: Int
  var layers: [Layer]
  var heads: Int
  /// Heads of keys and values, each shared by heads/groups queries.
  var groups: Int
  var headWidth: Int
  var innerSize: Int
  var maximumPositions: Int
  var norm: Norm
  var normEpsilon: Double
  /// What is added to the factors of norms as they are stored.
  var gainOffset = 0.0
  var mlp: MLP
  /// What embeddings are multiplied by, before rounding to the model's number type.
  var embeddingScale: Double?
  /// Where attention's scores are bent to, and where logits are: s becomes cap · tanh(s / cap).
  var scoreCap: Double?
  var logitCap: Double?
  /// Whether query, key and value are one map whose output is split.
  var isAttentionFused = false
  /// Of query, key and value.
  var hasAttentionBias = false
  var hasAttentionOutputBias = false
  var hasMLPBias = false
  /// Whether maps are stored [inputs, outputs].
  var storesTransposed = false
  /// Whether the head is the embedding table.
  var isHeadTied: Bool
  var dropout = Dropout()
  /// Standard deviation of fresh weights.
  var initializerRange: Double
  /// The number type that the config says the model has.
  var type: StoredType?
  /// How weights are coded, where some are.
  var quantization: QuantizationConfig?
}

extension DecoderConfig {
  static let families: [(modelType: String, read: @Sendable (ConfigReader) throws(FileError) -> DecoderConfig)] = [
    ("gpt2", gpt2), ("llama", llama), ("mistral", mistral), ("qwen2", qwen2), ("qwen3", qwen3), ("gemma2", gemma2),
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
    try reader.demand("is_causal", true)
    try reader.demandAbsent("per_layer_config", "layers differ by layer_types only")
    let type = try Self.type(reader)
    self = try family.read(reader)
    self.type = type
    quantization = try QuantizationConfig(directory)
    guard heads % groups == 0 else {
      throw reader.unfit("num_key_value_heads", .int(groups), "it must divide the \(heads) attention heads")
    }
  }

  /// The declared type; nil where there is none, or the weights are to say it. An unknown one tells of weights that cannot be
  /// read as they stand.
  static func type(_ reader: ConfigReader) throws(FileError) -> StoredType? {
    guard let (name, value) = reader.value(["dtype", "torch_dtype"]) else { return nil }
    let bare = value.string.map { $0.hasPrefix("torch.") ? String($0.dropFirst(6)) : $0 }
    switch bare {
    case "float32", "float": return .f32
    case "float16", "half": return .f16
    case "bfloat16": return .bf16
    case "float64": return .f64
    case "auto": return nil
    default: throw reader.unsupported(name, value, "supported: float32, float16, bfloat16")
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
