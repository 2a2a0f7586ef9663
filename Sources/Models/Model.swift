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

extension Model {
  /// What its head tells apart; nil where it has no such head.
  public var classes: ClassLabels? { (self as? any Classifier)?.labels }

  /// Modules that were drawn beside the weights of files, by words that ``PEFTKernel/TrainableSubset/modules`` takes: those of a new
  /// head, and the pooler where it reads one that the files lack. Whoever trains the model has to keep them.
  ///
  /// None where everything was drawn, as in a fresh model.
  public var drawnModules: [String] {
    let fresh = Set(freshParameters)
    guard fresh.count < parameters.count else { return [] }
    var modules: [String] = []
    for parameter in parameters where fresh.contains(parameter.name) {
      let module = String((parameter.names.min { $0.count < $1.count } ?? parameter.name).prefix { $0 != "." })
      if !modules.contains(module) { modules.append(module) }
    }
    return modules
  }
}

/// A tensor of a base model, as its file holds it.
public struct BaseParameter: Sendable, Hashable {
  /// The name with the family's prefix (`model.`, `transformer.`), whether the file writes that or not.
  public var name: String
  /// What today's Python libraries call it, as a site's `modulePath` says: its name, unless they have renamed it, or drop the
  /// family's prefix in a model without a head.
  public var moduleName: String
  /// Every other name that it has, or had, in those libraries.
  public var aliases: [String]
  /// What its file calls it; nil where it was drawn, or stands there in codes.
  public var storedName: String?
  public var shape: [Int]
  /// Of its numbers; where they are coded, the type in which they are written out.
  public var type: StoredType
  /// What it takes in its file.
  public var byteCount: Int
  /// Whether the file holds codes.
  public var isQuantized: Bool

  /// `codes` is the bytes of the codes, where there are some.
  public init(
    name: String, shape: [Int], type: StoredType, codes: Int? = nil, moduleName: String? = nil, aliases: [String] = [],
    storedName: String? = nil
  ) {
    self.name = name
    self.moduleName = moduleName ?? name
    self.aliases = aliases
    self.storedName = storedName
    self.shape = shape
    self.type = type
    byteCount = codes ?? shape.reduce(type.size, *)
    isQuantized = codes != nil
  }

  /// Every name that it goes by, today's first.
  public var names: [String] {
    var names = [moduleName]
    for other in [name] + aliases where !names.contains(other) { names.append(other) }
    return names
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
