import Engine
import Files

/// Opens model directories.
public enum ModelLoader {
  /// The model in a Hugging Face directory, its weights mapped.
  public static func load(_ path: String) throws -> any LanguageModel {
    throw FileError(.badData, path, "not yet")
  }

  /// A model without weights, drawn from the config's initializer_range (pretraining).
  public static func fresh(config path: String, seed: UInt64) throws -> any LanguageModel {
    throw FileError(.badData, path, "not yet")
  }
}
