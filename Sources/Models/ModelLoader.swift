import Files

/// Opens models.
public enum ModelLoader {
  /// The model in a Hugging Face directory: its config.json and its safetensors, which stay where they are.
  ///
  /// Refuses by name a family or setting it does not compute, and tensors that are missing, unexpected or of another
  /// shape than the config calls for.
  public static func load(_ path: String) throws -> any LanguageModel { try Decoder(ModelDirectory(path)) }

  /// The model that a quantized one was made from; nil where the model is not quantized. Refuses one that is not where it was, or
  /// not what it was.
  public static func origin(of model: any LanguageModel) throws -> (any LanguageModel)? {
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
    let model = try load(path)
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
    try Decoder(ModelDirectory(configurationOf: path), seed: seed)
  }
}
