import Engine
import Files
import PEFTKernel

/// The tokens a model continues a prompt with, one at a time.
///
/// Ends at a stop id (which is not given out), after `maximumTokens`, or where the model has no more positions.
public struct TokenGenerator: AsyncSequence, Sendable {
  public typealias Element = Int32

  public let model: any LanguageModel
  public let prompt: [Int32]
  public let maximumTokens: Int
  public var sampling: Sampling
  public var stopIDs: Set<Int32>
  public var attachment: Attachment?
  /// Base tensors that stand for the model's own, as in `ModelRun`.
  public var trained: [String: Tensor]

  /// Refuses an empty prompt, one beyond the model's positions, and ids outside its vocabulary.
  public init(
    _ model: any LanguageModel, prompt: [Int32], maximumTokens: Int, sampling: Sampling = .greedy,
    stopIDs: Set<Int32> = [], attachment: Attachment? = nil, trained: [String: Tensor] = [:]
  ) throws(FileError) {
    guard !prompt.isEmpty else {
      throw FileError(.badData, model.directory.path, "an empty prompt cannot be continued", remedy: "give some text")
    }
    try model.check(length: prompt.count)
    try model.check(ids: prompt)
    self.model = model
    self.prompt = prompt
    self.maximumTokens = maximumTokens
    self.sampling = sampling
    self.stopIDs = stopIDs
    self.attachment = attachment
    self.trained = trained
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(tokens: makeIterator()) }

  /// The same tokens without suspensions.
  ///
  /// With `memory`, what it has of the prompt's beginning is not read again; it then holds the positions that follow, too.
  public func makeIterator(after memory: PromptMemory? = nil) -> TokenIterator { TokenIterator(self, memory) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    var tokens: TokenIterator

    /// Throws `CancellationError` when the task was cancelled.
    public mutating func next() async throws -> Int32? {
      try Task.checkCancellation()
      // A token is a long computation: let others have a turn between two.
      await Task.yield()
      return tokens.next()
    }
  }
}

/// What a model has read of a text, kept from one generation to the next: a conversation is read once, not once an answer.
///
/// Belongs to one model with one attachment (or none), and to one caller at a time; with another adapter, begin a new one.
public final class PromptMemory {
  fileprivate let cache: KVCache
  /// The tokens whose keys and values are held.
  public fileprivate(set) var ids: [Int32] = []

  public init(_ model: any LanguageModel) { cache = model.makeCache(capacity: model.maximumPositions) }

  /// Keeps what a prompt begins with; the number of tokens kept. The last one is left to be read: its logits are wanted.
  fileprivate func rewind(to prompt: [Int32]) -> Int {
    let shared = zip(ids, prompt.dropLast()).prefix { $0 == $1 }.count
    ids.removeLast(ids.count - shared)
    cache.rewind(to: shared)
    return shared
  }
}

/// The generation itself: the state between two tokens.
public struct TokenIterator: IteratorProtocol {
  private let generator: TokenGenerator
  /// Nil where an adapter looks at the whole text: every token then costs a pass over all of it.
  private let cache: KVCache?
  private let memory: PromptMemory?
  /// The adapted sites in forward order.
  private let sites: [Site]
  /// The most tokens that prompt and continuation have together.
  private let limit: Int
  /// Tokens the next pass is over, and all so far.
  private var pending: [Int32]
  private var length: Int
  /// Whether a stop id was met.
  public private(set) var hasStopped = false
  /// What a repetition penalty looks at: everything so far.
  private var text: [Int32]

  init(_ generator: TokenGenerator, _ memory: PromptMemory?) {
    self.generator = generator
    let (model, attachment) = (generator.model, generator.attachment)
    let adapted = model.sites.filter { attachment?.sites[$0.id] != nil }
    let (wanted, overflow) = generator.prompt.count.addingReportingOverflow(Swift.max(0, generator.maximumTokens))
    // The last token is chosen, but no longer read.
    limit = overflow ? model.maximumPositions + 1 : Swift.min(model.maximumPositions + 1, wanted)
    sites = adapted
    text = generator.prompt
    length = generator.prompt.count
    // What is no weight change may depend on all rows of a pass at once.
    let isLocal = adapted.allSatisfy { site in
      attachment.map { (try? $0.change(at: site)) != nil } ?? true
    }
    self.memory = isLocal ? memory : nil
    cache = isLocal ? memory?.cache ?? model.makeCache(capacity: limit) : nil
    pending = Array(generator.prompt[(self.memory?.rewind(to: generator.prompt) ?? 0)...])
  }

  public mutating func next() -> Int32? {
    guard !hasStopped, length < limit else { return nil }
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [pending.count]), sites: sites)
    let run = ModelRun(pass: pass, attachment: generator.attachment, trained: generator.trained, cache: cache)
    let hidden = generator.model.hidden(pending, run)
    let logits = generator.model.logits(hidden.slice(rows: hidden.rows - 1..<hidden.rows), run)
    let id = generator.sampling.choose(logits.floats, index: length - generator.prompt.count, after: text)
    length += 1
    memory?.ids += pending
    text.append(id)
    if cache == nil { pending.append(id) } else { pending = [id] }
    hasStopped = generator.stopIDs.contains(id)
    return hasStopped ? nil : id
  }
}
