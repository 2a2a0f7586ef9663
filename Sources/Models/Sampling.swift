import Engine

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How the next token is chosen, in the order `transformers` applies it: repetition penalty, temperature, top-k, top-p.
public struct Sampling: Sendable, Hashable {
  /// 0 takes the likeliest token; larger values flatten the distribution.
  public var temperature: Double
  /// Only this many of the likeliest tokens are drawn from; nil for all.
  public var topK: Int?
  /// Only the likeliest tokens that together have this probability are drawn from.
  public var topP: Double
  /// Logits of tokens that the text has already are divided by this where positive and multiplied where negative
  /// [arXiv:1909.05858]; 1 leaves them as they are.
  public var repetitionPenalty: Double
  public var seed: UInt64

  public init(
    temperature: Double = 0, topK: Int? = nil, topP: Double = 1, repetitionPenalty: Double = 1, seed: UInt64 = 0
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.repetitionPenalty = repetitionPenalty
    self.seed = seed
  }

  public static let greedy = Sampling()

  /// The next id from logits [vocabulary]; `index` counts the draws, each of which has a stream of its own, and `text` is what
  /// there is so far, the prompt included.
  public func choose(_ logits: [Float], index: Int, after text: [Int32] = []) -> Int32 {
    let logits = penalized(logits, text)
    guard let best = logits.indices.max(by: { logits[$0] < logits[$1] }) else { return 0 }
    guard temperature > 0 else { return Int32(best) }
    let peak = Double(logits[best])
    let weights = logits.map { exp((Double($0) - peak) / temperature) }
    let candidates = candidates(weights)
    var random = Philox(key: seed).stream("sample").stream(UInt64(index))
    var rest = random.uniform() * candidates.reduce(0) { $0 + weights[$1] }
    for candidate in candidates {
      rest -= weights[candidate]
      if rest < 0 { return Int32(candidate) }
    }
    return Int32(candidates.last ?? best)
  }

  private func penalized(_ logits: [Float], _ text: [Int32]) -> [Float] {
    guard repetitionPenalty != 1 else { return logits }
    var logits = logits
    let penalty = Float(repetitionPenalty)
    for id in Set(text).map(Int.init) where logits.indices.contains(id) {
      logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty
    }
    return logits
  }

  /// The ids that are drawn from: where all are, in their own order.
  private func candidates(_ weights: [Double]) -> [Int] {
    let count = min(weights.count, max(1, topK ?? weights.count))
    guard count < weights.count || topP < 1 else { return Array(weights.indices) }
    // Equal weights keep the order of their ids, so that a seed gives one text everywhere.
    let likeliest = weights.indices.sorted { (weights[$1], $0) < (weights[$0], $1) }.prefix(count)
    guard topP < 1 else { return Array(likeliest) }
    let total = likeliest.reduce(0) { $0 + weights[$1] }
    var sum = 0.0
    let end = likeliest.firstIndex { id in
      sum += weights[id]
      return sum >= topP * total
    }
    return Array(likeliest[...(end ?? likeliest.endIndex - 1)])
  }
}
