import Engine
import Files
import Models
import PEFTKernel

/// Writes models: with parameters that were trained, or in another number type.
public enum ModelWriter {
  /// Bytes of numbers that a weight file holds at most, where nobody says otherwise: 5 GB.
  public static var standardShardLimit: Int { WeightFiles.standardLimit }

  /// What a written model lacks of its base's files, in words: tensors that nothing is computed with here, such as heads of pretraining
  /// and poolers that no head reads. Nil where it lacks nothing.
  public static func note(of model: any Model) -> String? {
    // An older head whose place a new one has taken is not missed.
    let fresh = Set(model.freshParameters)
    let absent = model.leftOut.filter { !fresh.contains($0) }.sorted()
    guard !absent.isEmpty else { return nil }
    let architecture = model.configuration["architectures"]?.array?.first?.string.map { ", a \($0)," } ?? ""
    return "left out \(AdapterNames.listed(absent)): the model\(architecture) does not compute with them"
  }

  /// Writes a Hugging Face directory: the model's parameters, those in `replacing` (by name, in the file's shape) with new
  /// values, rounded once to `dtype` (nil: each to its own); config and tokenizer files as the base has them, but for a head that the
  /// model was given.
  ///
  /// Tied tensors are written once, in several files of at most `shardLimit` bytes where one would be larger. The directory appears whole or not at all. Refuses values that are not finite or that
  /// the type cannot hold, and names the model does not know. The base and `inputs` are never replaced.
  public static func write(
    _ model: any Model, replacing: [String: Tensor] = [:], dtype: StoredType? = nil,
    existing: AtomicDirectory.Existing = .refuse, inputs: [String] = [], shardLimit: Int = standardShardLimit, to folder: String
  ) throws {
    let known = Set(model.parameters.map(\.name))
    let unknown = replacing.keys.filter { !known.contains($0) }.sorted()
    guard unknown.isEmpty else {
      throw Refusal("a \(model.modelType) model of this config has no \(AdapterNames.listed(unknown))")
    }
    var copy = try ModelCopy(model, dtype: dtype)
    copy.shardLimit = shardLimit
    copy.changed = replacing.mapValues { tensor in { tensor } }
    try copy.write(existing: existing, inputs: inputs, to: folder)
  }

  /// Writes a model directory in which the weights of `codes` (by name) are held in few bits, as `config` says; all else is the base's.
  public static func write(
    _ model: any Model, codes: [String: WeightCodes], _ config: QuantizationConfig,
    existing: AtomicDirectory.Existing = .refuse, inputs: [String] = [], to folder: String
  ) throws {
    var copy = try ModelCopy(model, dtype: nil)
    copy.codes = codes
    copy.quantization = config
    try copy.write(existing: existing, inputs: inputs, to: folder)
  }

  /// Refuses a folder that ``write(_:replacing:dtype:existing:inputs:to:)`` would not replace.
  public static func check(
    _ folder: String, model: any Model, existing: AtomicDirectory.Existing, inputs: [String] = []
  ) throws(FileError) {
    try AtomicDirectory.check(
      folder, existing: existing, owns: try ModelCopy.owns(model), inputs: inputs + [model.directory.path])
  }
}
