import Engine
import Models
import PEFTKernel

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How well a model predicts.
public struct Evaluation: Sendable {
  /// Mean −log p per learned token.
  public var loss: Double
  /// Learned tokens.
  public var tokens: Int

  public init(loss: Double, tokens: Int) {
    self.loss = loss
    self.tokens = tokens
  }

  public var perplexity: Double { exp(loss) }

  /// Evaluates `examples` in batches of about `tokensPerBatch`; `seen` is told how many of them are done.
  public static func of(
    _ model: any LanguageModel, adapter: Adapter?, trained: [String: Tensor] = [:], _ examples: [Example],
    tokensPerBatch: Int = standardBatch, seen: (_ examples: Int) -> Void = { _ in }
  ) -> Evaluation {
    let now = Moment(mode: .evaluation)
    let attachment = adapter?.attached(now)
    var (sum, tokens) = (0.0, 0)
    for range in batches(examples, tokensPerBatch: tokensPerBatch) {
      let batch = Batch(Array(examples[range]))
      guard batch.labelCount > 0 else { continue }
      let pass = Pass(now: now, rows: batch.rows, sites: adapter?.sites ?? [])
      let run = ModelRun(pass: pass, attachment: attachment, trained: trained)
      sum += model.loss(batch.ids, labels: batch.labels, scale: 1, run).item
      tokens += batch.labelCount
      seen(range.upperBound)
    }
    return Evaluation(loss: tokens == 0 ? .nan : sum / Double(tokens), tokens: tokens)
  }

  /// Where to divide `examples` for batches of at most so many tokens; a longer example is a batch of its own.
  static func batches(_ examples: [Example], tokensPerBatch: Int = standardBatch) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var (start, size) = (0, 0)
    for (index, example) in examples.enumerated() {
      if index > start, size + example.ids.count > tokensPerBatch {
        ranges.append(start..<index)
        (start, size) = (index, 0)
      }
      size += example.ids.count
    }
    if start < examples.count { ranges.append(start..<examples.count) }
    return ranges
  }

  /// Tokens of a batch, where nobody says otherwise.
  public static let standardBatch = 2048
}
