import Engine
import Files
import PEFTKernel

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How the next token is chosen.
public struct Sampling: Sendable, Hashable {
  /// 0 takes the likeliest token; larger values flatten the distribution.
  public var temperature: Double
  /// Only the likeliest tokens that together have this probability are drawn from.
  public var topP: Double
  public var seed: UInt64

  public init(temperature: Double = 0, topP: Double = 1, seed: UInt64 = 0) {
    self.temperature = temperature
    self.topP = topP
    self.seed = seed
  }

  public static let greedy = Sampling()

  /// The next id from logits [vocabulary]; `index` counts the draws, each of which has a stream of its own.
  public func choose(_ logits: [Float], index: Int) -> Int32 {
    guard let best = logits.indices.max(by: { logits[$0] < logits[$1] }) else { return 0 }
    guard temperature > 0 else { return Int32(best) }
    let peak = Double(logits[best])
    let weights = logits.map { exp((Double($0) - peak) / temperature) }
    var candidates = Array(weights.indices)
    if topP < 1 { candidates = nucleus(weights) }
    var random = Philox(key: seed).stream("sample").stream(UInt64(index))
    var rest = random.uniform() * candidates.reduce(0) { $0 + weights[$1] }
    for candidate in candidates {
      rest -= weights[candidate]
      if rest < 0 { return Int32(candidate) }
    }
    return Int32(candidates.last ?? best)
  }

  /// The likeliest tokens up to and with the one that reaches `topP`.
  private func nucleus(_ weights: [Double]) -> [Int] {
    // Equal weights keep the order of their ids, so that a seed gives one text everywhere.
    let ordered = weights.indices.sorted { (weights[$1], $0) < (weights[$0], $1) }
    let total = weights.reduce(0, +)
    var sum = 0.0
    let end = ordered.firstIndex { id in
      sum += weights[id]
      return sum >= topP * total
    }
    return Array(ordered[...(end ?? ordered.count - 1)])
  }
}

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
  public func makeIterator() -> TokenIterator { TokenIterator(self) }

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

/// The generation itself: the state between two tokens.
public struct TokenIterator: IteratorProtocol {
  private let generator: TokenGenerator
  /// Nil where an adapter looks at the whole text: every token then costs a pass over all of it.
  private let cache: KVCache?
  /// The adapted sites in forward order.
  private let sites: [Site]
  /// The most tokens that prompt and continuation have together.
  private let limit: Int
  /// Tokens the next pass is over, and all so far.
  private var pending: [Int32]
  private var length: Int
  private var isDone = false

  init(_ generator: TokenGenerator) {
    self.generator = generator
    let (model, attachment) = (generator.model, generator.attachment)
    let adapted = model.sites.filter { attachment?.sites[$0.id] != nil }
    let (wanted, overflow) = generator.prompt.count.addingReportingOverflow(Swift.max(0, generator.maximumTokens))
    // The last token is chosen, but no longer read.
    limit = overflow ? model.maximumPositions + 1 : Swift.min(model.maximumPositions + 1, wanted)
    sites = adapted
    pending = generator.prompt
    length = pending.count
    // What is no weight change may depend on all rows of a pass at once.
    let isLocal = adapted.allSatisfy { site in
      attachment.map { (try? $0.change(at: site)) != nil } ?? true
    }
    cache = isLocal ? model.makeCache(capacity: limit) : nil
  }

  public mutating func next() -> Int32? {
    guard !isDone, length < limit else { return nil }
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [pending.count]), sites: sites)
    let run = ModelRun(pass: pass, attachment: generator.attachment, trained: generator.trained, cache: cache)
    let hidden = generator.model.hidden(pending, run)
    let logits = generator.model.logits(hidden.slice(rows: hidden.rows - 1..<hidden.rows), run)
    let id = generator.sampling.choose(logits.floats, index: length - generator.prompt.count)
    length += 1
    if cache == nil { pending.append(id) } else { pending = [id] }
    isDone = generator.stopIDs.contains(id)
    return isDone ? nil : id
  }
}
