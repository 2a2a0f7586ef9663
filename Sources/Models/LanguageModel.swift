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

extension ModelRun {
  /// What `body` computes from other rows than this run's: in a pass of its own, whose terms of the loss are this one's.
  ///
  /// `sites` are those that are visited in it, where they are not all.
  public func over(_ rows: RowLayout, sites: [Site]? = nil, _ body: (ModelRun) -> Tensor) -> Tensor {
    var run = self
    run.pass = Pass(now: pass.now, rows: rows, sites: sites ?? pass.sites, observer: pass.observer)
    let y = body(run)
    for term in run.pass.penalties { pass.penalize(term) }
    return y
  }

  /// What `body` computes from one row a sequence.
  func pooled(_ body: (ModelRun) -> Tensor) -> Tensor {
    over(RowLayout(sequences: pass.rows.sequences.count, length: 1), sites: pass.sites.filter { $0.layer == nil }, body)
  }
}

/// A causal language model. The head is the last of its sites.
public protocol LanguageModel: TextModel {
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
  /// scale · Σ −log p over the labels that are not −100, a scalar [1]. Labels are already shifted: `labels[t]` is the id
  /// that row t predicts. The result is to be differentiated as it is: see `Tensor.crossEntropy`.
  public func loss(_ ids: [Int32], labels: [Int32], scale: Double, _ run: ModelRun) -> Tensor {
    hidden(ids, run).crossEntropy(labels: labels, scale: scale, vocabulary: vocabularySize) { logits($0, run) }
  }
}

extension LanguageModel {
  /// The ids that end a text, as generation_config.json names them, or else config.json.
  public var endOfTextIDs: Set<Int32> {
    for config in [directory.generationConfig, directory.config] {
      guard let value = config?["eos_token_id"], !value.isNull else { continue }
      return Set((value.array ?? [value]).compactMap { $0.int.flatMap { Int32(exactly: $0) } })
    }
    return []
  }
}
