import Files

/// Opens models.
public enum ModelLoader {
  /// The model in a Hugging Face directory: its config.json and its safetensors, which stay where they are.
  ///
  /// Refuses by name a family or setting it does not compute, and tensors that are missing, unexpected or of another
  /// shape than the config calls for.
  public static func load(_ path: String) throws -> any LanguageModel { try decoder(ModelDirectory(path)) }

  /// The same of whatever family, with the head that is chosen where it is an encoder. What comes is a ``LanguageModel``, a
  /// ``TextEncoder`` or an ``ImageEncoder``, which are each a ``Classifier``, or an ``ImageTextModel``.
  public static func open(_ path: String, head: HeadChoice = .stored) throws -> any Model {
    try model(ModelDirectory(path), head, freshFrom: nil)
  }

  /// As ``fresh(config:seed:)``, of whatever family. A head that is drawn from a seed of its own at other times follows this one.
  public static func openFresh(config path: String, seed: UInt64, head: HeadChoice = .stored) throws -> any Model {
    try model(ModelDirectory(configurationOf: path), head, freshFrom: seed)
  }

  private static func model(
    _ directory: ModelDirectory, _ head: HeadChoice, freshFrom seed: UInt64?
  ) throws(FileError) -> any Model {
    if let family = EncoderFamily(directory) { return try family.model(directory, head, freshFrom: seed) }
    let reader = ConfigReader(directory)
    let decoders = DecoderConfig.families.map(\.modelType)
    let supported = "supported: \((decoders + EncoderFamily.allCases.map(\.rawValue)).joined(separator: ", "))"
    guard let (name, value) = reader.value(["model_type"]) else { throw reader.missing("model_type", supported) }
    guard decoders.contains(value.string ?? "") else { throw reader.unsupported(name, value, supported) }
    if case .classes = head {
      throw FileError(
        .badData, reader.file, "model_type: a \(value.brief) model has no classifier here", remedy: "choose an encoder")
    }
    return try Decoder(directory, seed: seed)
  }

  private static func decoder(_ directory: ModelDirectory, seed: UInt64? = nil) throws(FileError) -> Decoder {
    if let family = EncoderFamily(directory) {
      throw FileError(
        .badData, ConfigReader(directory).file, "model_type: \"\(family.rawValue)\" is an encoder",
        cause: "it does not predict tokens", remedy: "give a language model")
    }
    return try Decoder(directory, seed: seed)
  }

  /// The model that a quantized one was made from, with the head that is chosen; nil where the model is not quantized. Refuses one
  /// that is not where it was, or not what it was.
  public static func origin(of model: any Model, head: HeadChoice = .stored) throws -> (any Model)? {
    guard let quantization = model.quantization else { return nil }
    let folder = model.directory.path
    guard let origin = quantization.origin else {
      throw FileError(
        .badData, folder, "does not say which model it was quantized from", remedy: "make it with `peft quantize`")
    }
    let path = origin.path.hasPrefix("/") ? origin.path : Folder.join(folder, origin.path)
    guard Folder.isFolder(path) else {
      throw FileError(
        .missing, path, "is not there, the model that \(folder) was quantized from",
        remedy: "put it back, or choose a start that does not look at it")
    }
    let model = try open(path, head: head)
    guard try model.directory.digest() == origin.digest else {
      throw FileError(
        .badData, path, "is not the model that \(folder) was quantized from", cause: "its weights have another fingerprint",
        remedy: "quantize it again")
    }
    return model
  }

  /// A model that a config.json (or the folder it is in) describes, with weights drawn from `initializer_range`: every
  /// matrix from a stream of `seed` and its name, norms that multiply by 1, biases 0.
  public static func fresh(config path: String, seed: UInt64) throws -> any LanguageModel {
    try decoder(ModelDirectory(configurationOf: path), seed: seed)
  }
}
