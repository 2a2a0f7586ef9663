import Files

/// Opens models.
public enum ModelLoader {
  /// The model in a Hugging Face directory: its config.json and its safetensors, which stay where they are.
  ///
  /// Refuses by name a family or setting it does not compute, and tensors that are missing, unexpected or of another
  /// shape than the config calls for.
  public static func load(_ path: String) throws -> any LanguageModel { try Decoder(ModelDirectory(path)) }

  /// A model that a config.json (or the folder it is in) describes, with weights drawn from `initializer_range`: every
  /// matrix from a stream of `seed` and its name, norms 1, biases 0.
  public static func fresh(config path: String, seed: UInt64) throws -> any LanguageModel {
    try Decoder(ModelDirectory(configurationOf: path), seed: seed)
  }
}
