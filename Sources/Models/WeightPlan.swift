import Files
import PEFTKernel

/// A map of a plan: its site, and the tensors it is made of.
struct PlannedMap: Sendable {
  var site: Site
  var weight: String
  var bias: String?
}

/// A tensor that a model is made of.
struct PlannedTensor: Sendable {
  enum Kind: Sendable {
    /// A weight or a table.
    case matrix
    /// A norm's factors as they are stored, beside what is added to them.
    case gains(offset: Double = 0)
    case biases
    /// A learned vector that stands for an input.
    case vector
    /// A learned number.
    case number(Double)
  }

  var name: String
  /// As stored.
  var shape: [Int]
  var kind: Kind
  /// Whether the shape is [inputs, outputs].
  var isTransposed = false
  /// The matrix that a shape of other than two axes is read as.
  var view: [Int]?
  /// Standard deviation of fresh values; nil for the model's common one.
  var deviation: Double?
  /// Whether it is drawn even where there are files.
  var isDrawn = false
  /// What today's libraries call it, where that is another name.
  var moduleName: String?
  /// Further names that it has, or had, there.
  var aliases: [String] = []

  /// The tensor of the base, of that number type, under that name in its file.
  func parameter(_ type: StoredType, codes: Int? = nil, stored: String? = nil) -> BaseParameter {
    BaseParameter(
      name: name, shape: shape, type: type, codes: codes, moduleName: moduleName, aliases: aliases, storedName: stored)
  }
}

/// What a model's files have to hold, and under which names they may.
struct WeightPlan: Sendable {
  var modelType: String
  var tensors: [PlannedTensor]
  /// Weights of linear maps, which files may hold in codes.
  var codable: [String]
  /// A tensor that is always in numbers: its type is that of the others once they are written out.
  var numbered: String
  /// Standard deviation of fresh values.
  var deviation: Double
  var quantization: QuantizationConfig?

  /// What files of the bare model leave out of every name.
  var prefix: String
  /// Beginnings of names that have no prefix.
  var unprefixed: [String]
  /// The name of a tensor by others that files may have for it.
  var spellings: [String: String] = [:]
  /// Endings of buffers that files may hold beside the weights: computed, never learned.
  var strays: [String]
  /// Beginnings of names of what may be there but is not computed with.
  var ignored: [String] = []
  /// The head, where it may be the embedding table.
  var tiedHead: String?

  /// The name of the tensor that a file calls `stored`.
  func name(of stored: String) -> String {
    if let name = spellings[stored] { return name }
    return stored.hasPrefix(prefix) || unprefixed.contains { stored.hasPrefix($0) } ? stored : prefix + stored
  }

  /// Whether what a file holds under that name is no tensor of the model.
  func isStray(_ name: String) -> Bool {
    // A tied head that is stored all the same is the embedding table once more.
    name == tiedHead || strays.contains { name.hasSuffix($0) }
  }

  func isIgnored(_ name: String) -> Bool { ignored.contains { name.hasPrefix($0) } }
}

extension WeightPlan {
  init(_ plan: DecoderPlan, _ config: DecoderConfig) {
    let head = plan.head.site.id.path
    self.init(
      modelType: config.modelType, tensors: plan.tensors, codable: plan.maps.map(\.weight).filter { $0 != plan.embedding },
      numbered: plan.embedding, deviation: config.initializerRange, quantization: config.quantization,
      prefix: config.names.prefix, unprefixed: [head + "."], strays: config.names.strays, tiedHead: head + ".weight")
  }
}
