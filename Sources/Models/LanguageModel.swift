import Engine
import Files
import PEFTKernel

/// One evaluation of a model: the pass, what is attached, which base tensors are trained, in which scalar.
public struct ModelRun {
  public var pass: Pass
  /// The adapter in use.
  public var attachment: Attachment?
  /// Base tensors by name, in the file's shapes, that stand for the file's: those that the attachment brings, and tracked leaves
  /// that training gives in their place.
  /// A name that is missing is frozen.
  public var trained: [String: Tensor]
  /// `.float32` for work, `.float64` for gradient checks.
  public var scalar: ScalarType
  /// Shown, during the backward pass, the input of every site's base map and the gradient of that map's output.
  public var observe: ((SiteID, _ x: Tensor, _ dy: Tensor) -> Void)?
  /// Is shown the input x of every site, in forward order.
  public var observeInput: ((SiteID, _ x: Tensor) -> Void)?
  /// Keys and values of the positions before: generation only, without gradients.
  public var cache: KVCache?
  public var activations = Activations.kept

  public init(
    pass: Pass, attachment: Attachment? = nil, trained: [String: Tensor] = [:], scalar: ScalarType = .float32,
    observe: ((SiteID, _ x: Tensor, _ dy: Tensor) -> Void)? = nil, cache: KVCache? = nil
  ) {
    self.pass = pass
    self.attachment = attachment
    self.trained = attachment.map { $0.trained.merging(trained) { $1 } } ?? trained
    self.scalar = scalar
    self.observe = observe
    self.cache = cache
  }
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

/// A causal language model whose linear maps are sites.
///
/// `hidden` and `logits` expect ids below `vocabularySize` and sequences of at most `maximumPositions`;
/// `check(ids:)` and `check(length:)` refuse others with an error.
public protocol LanguageModel: Sendable {
  var directory: ModelDirectory { get }
  /// The family's name in config.json, `llama` say.
  var modelType: String { get }
  var vocabularySize: Int { get }
  var maximumPositions: Int { get }
  var hiddenSize: Int { get }
  /// Every adaptable linear map in forward order, the head last.
  var sites: [Site] { get }
  /// The embedding tables, as maps of one-hot rows: W [hiddenSize, rows of the table].
  var tables: [Site] { get }
  /// Every tensor of the base; tied ones once.
  var parameters: [BaseParameter] { get }
  /// The values of a parameter, widened: a copy, in the file's shape.
  func parameter(_ name: String) -> Tensor
  /// The untouched map at a site.
  func base(_ id: SiteID) -> any BaseMap
  /// The rows of the frozen table for these tokens, [n, hiddenSize].
  func embeddings(of ids: [Int32]) -> Tensor
  /// [T, hiddenSize] after the final norm, T = run.pass.rows.count.
  func hidden(_ ids: [Int32], _ run: ModelRun) -> Tensor
  /// [T, vocabularySize] of hidden states [T, hiddenSize].
  func logits(_ hidden: Tensor, _ run: ModelRun) -> Tensor
  /// An empty cache for sequences of up to `capacity` positions.
  func makeCache(capacity: Int) -> KVCache
}

extension LanguageModel {
  public var tables: [Site] { [] }

  /// Everywhere an adapter can stand, in forward order.
  public var adaptable: [Site] { tables + sites }
}

extension LanguageModel {
  /// scale · Σ −log p over the labels that are not −100, a scalar [1]. Labels are already shifted: `labels[t]` is the id
  /// that row t predicts. The result is to be differentiated as it is: see `Tensor.crossEntropy`.
  public func loss(_ ids: [Int32], labels: [Int32], scale: Double, _ run: ModelRun) -> Tensor {
    hidden(ids, run).crossEntropy(labels: labels, scale: scale, vocabulary: vocabularySize) { logits($0, run) }
  }
}

extension LanguageModel {
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

  /// The ids that end a text, as config.json names them.
  public var endOfTextIDs: Set<Int32> {
    guard let value = directory.config["eos_token_id"] else { return [] }
    return Set((value.array ?? [value]).compactMap { $0.int.flatMap { Int32(exactly: $0) } })
  }
}
