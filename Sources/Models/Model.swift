import Engine
import Files
import JSON
import PEFTKernel

/// A model whose linear maps are sites, whatever it reads and gives: all that adapters, merging and files have to know of it.
///
/// What it computes, the protocols that refine this one say by kind of input: ``LanguageModel``, ``TextEncoder``, ``ImageEncoder``,
/// ``ImageTextModel``; ``Classifier`` is a head's. Every forward function takes a ``ModelRun``, in which adapters and trained
/// tensors of the base are given.
public protocol Model: Sendable {
  var directory: ModelDirectory { get }
  /// The family's name in config.json, `llama` say.
  var modelType: String { get }
  /// What config.json has to say beside these parameters: the directory's own, but for the labels of a new head.
  var configuration: JSON { get }
  /// Every adaptable linear map in forward order, heads last.
  var sites: [Site] { get }
  /// The embedding tables that adapters can stand at, as maps of one-hot rows: W [width, rows of the table].
  var tables: [Site] { get }
  /// Every tensor of the base; tied ones once.
  var parameters: [BaseParameter] { get }
  /// Names of the parameters that were drawn because the files have none: those of a new head.
  var freshParameters: [String] { get }
  /// Tensors of the files that nothing here computes with: heads of pretraining, and others that a new head stands in place of.
  var leftOut: [String] { get }
  /// The values of a parameter, widened: a copy, in the file's shape.
  func parameter(_ name: String) -> Tensor
  /// The untouched map at a site.
  func base(_ id: SiteID) -> any BaseMap
}

extension Model {
  public var tables: [Site] { [] }

  /// Everywhere an adapter can stand, in forward order.
  public var adaptable: [Site] { tables + sites }
}

extension Model {
  public var configuration: JSON { directory.config }
  public var freshParameters: [String] { [] }
  public var leftOut: [String] { [] }

  /// How weights are coded, where some are.
  public var quantization: QuantizationConfig? { (try? QuantizationConfig(directory)) ?? nil }
}

/// A tensor of a base model, as its file holds it.
public struct BaseParameter: Sendable, Hashable {
  /// The name with the family's prefix (`model.`, `transformer.`), whether the file writes that or not.
  public var name: String
  public var shape: [Int]
  /// Of its numbers; where they are coded, the type in which they are written out.
  public var type: StoredType
  /// What it takes in its file.
  public var byteCount: Int
  /// Whether the file holds codes.
  public var isQuantized: Bool

  /// `codes` is the bytes of the codes, where there are some.
  public init(name: String, shape: [Int], type: StoredType, codes: Int? = nil) {
    self.name = name
    self.shape = shape
    self.type = type
    byteCount = codes ?? shape.reduce(type.size, *)
    isQuantized = codes != nil
  }
}

/// A model that reads token ids: below `vocabularySize`, in sequences of at most `maximumPositions`.
///
/// Its forward functions expect such; the checks here refuse others with an error.
public protocol TextModel: Model {
  var vocabularySize: Int { get }
  /// The longest sequence.
  var maximumPositions: Int { get }
  var hiddenSize: Int { get }
}

extension TextModel {
  /// Refuses sequences that have no positions in this model.
  public func check(length: Int) throws(FileError) {
    guard length > maximumPositions else { return }
    throw FileError(
      .badData, directory.path, "a sequence of \(length) tokens exceeds the model's \(maximumPositions) positions",
      remedy: "shorten it, or lower max_seq_len")
  }

  /// Refuses ids that this model has no embedding for.
  public func check(ids: some Sequence<Int32>) throws(FileError) {
    guard let id = ids.first(where: { $0 < 0 || $0 >= vocabularySize }) else { return }
    throw FileError(
      .badData, directory.path, "token id \(id) is not in the model's vocabulary of \(vocabularySize)",
      remedy: "use the model's own tokenizer")
  }
}
