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
    tokensPerBatch: Int = 2048, seen: (_ examples: Int) -> Void = { _ in }
  ) -> Evaluation {
    let now = Moment(mode: .evaluation)
    let attachment = adapter?.attached(now)
    var (sum, tokens, start) = (0.0, 0, 0)
    while start < examples.count {
      var end = start
      var size = 0
      while end < examples.count, end == start || size + examples[end].ids.count <= tokensPerBatch {
        size += examples[end].ids.count
        end += 1
      }
      let batch = Batch(Array(examples[start..<end]))
      start = end
      guard batch.labelCount > 0 else { continue }
      let pass = Pass(now: now, rows: batch.rows, sites: adapter?.sites ?? [])
      let run = ModelRun(pass: pass, attachment: attachment, trained: trained)
      sum += model.loss(batch.ids, labels: batch.labels, scale: 1, run).item
      tokens += batch.labelCount
      seen(end)
    }
    return Evaluation(loss: tokens == 0 ? .nan : sum / Double(tokens), tokens: tokens)
  }
}
