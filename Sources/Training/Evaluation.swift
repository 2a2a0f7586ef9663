import Engine
import Models
import PEFTKernel

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How well a model does what it is trained for.
public struct Evaluation: Sendable {
  /// Mean loss per term: −log p per learned token, or the loss of an example.
  public var loss: Double
  /// Terms of the loss: learned tokens, or examples.
  public var tokens: Int
  /// What else is known.
  public var measures: Measures

  public enum Measures: Sendable {
    /// Of a language model: what its loss means.
    case perplexity
    case classes(ClassificationMetrics)
    /// Of pairs: the place of the right text among the second texts of all.
    case retrieval(RetrievalMetrics)
    case none
  }

  public init(loss: Double, tokens: Int, measures: Measures = .perplexity) {
    self.loss = loss
    self.tokens = tokens
    self.measures = measures
  }

  public var perplexity: Double { exp(loss) }

  /// Nil where nothing is classified.
  public var classes: ClassificationMetrics? {
    guard case .classes(let metrics) = measures else { return nil }
    return metrics
  }

  /// Evaluates `examples` in batches of about `tokensPerBatch`; `seen` is told how many of them are done.
  public static func of(
    _ objective: any Objective, adapter: Adapter?, trained: [String: Tensor] = [:], _ examples: [Example],
    tokensPerBatch: Int = standardBatch, seen: (_ examples: Int) -> Void = { _ in }
  ) -> Evaluation {
    let now = Moment(mode: .evaluation)
    let attachment = adapter?.attached(now)
    var (sum, tokens) = (0.0, 0)
    var answers: [Judgement.Answer] = []
    for range in batches(examples, tokensPerBatch: tokensPerBatch) {
      let batch = Batch(Array(examples[range]))
      guard batch.labelCount > 0 else { continue }
      let pass = Pass(now: now, rows: batch.rows, sites: adapter?.sites ?? [])
      let result = objective.judge(batch, ModelRun(pass: pass, attachment: attachment, trained: trained))
      sum += result.loss
      answers += result.answers
      tokens += batch.labelCount
      seen(range.upperBound)
    }
    return Evaluation(
      loss: tokens == 0 ? .nan : sum / Double(tokens), tokens: tokens, measures: Measures(answers, of: objective))
  }

  /// Where to divide `examples` for batches of at most so many tokens; a longer example is a batch of its own.
  static func batches(_ examples: [Example], tokensPerBatch: Int = standardBatch) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var (start, size) = (0, 0)
    for (index, example) in examples.enumerated() {
      if index > start, size + example.size > tokensPerBatch {
        ranges.append(start..<index)
        (start, size) = (index, 0)
      }
      size += example.size
    }
    if start < examples.count { ranges.append(start..<examples.count) }
    return ranges
  }

  /// Tokens of a batch, where nobody says otherwise.
  public static let standardBatch = 2048
}

extension Evaluation.Measures {
  init(_ answers: [Judgement.Answer], of objective: any Objective) {
    var (probabilities, labels): ([[Double]], [Int]) = ([], [])
    var (first, second): ([[Float]], [[Float]]) = ([], [])
    for answer in answers {
      switch answer {
      case .classes(let some, let label):
        probabilities.append(some)
        labels.append(label)
      case .pair(let a, let b):
        first.append(a)
        second.append(b)
      }
    }
    // Of what is no number there is nothing to measure; the loss says so.
    if !labels.isEmpty {
      let metrics = try? ClassificationMetrics(probabilities: probabilities, labels: labels, names: objective.classNames)
      self = metrics.map { .classes($0) } ?? .none
    } else if !first.isEmpty {
      self = (try? RetrievalMetrics(first, second)).map { .retrieval($0) } ?? .none
    } else {
      self = .perplexity
    }
  }
}

extension Evaluation {
  /// The figures that are told of it, in order: the key under which logs have one, what people call it, its value.
  public var figures: [(key: String, name: String, value: Double)] {
    switch measures {
    case .perplexity: [("perplexity", "perplexity", perplexity)]
    case .classes(let metrics):
      [
        ("accuracy", "accuracy", metrics.accuracy), ("macro_f1", "macro-F1", metrics.macroF1),
        ("ece", "calibration error", metrics.calibration.ece),
      ]
    case .retrieval(let metrics):
      [
        ("accuracy_at_1", "first hit right", metrics.accuracyAt1),
        ("mean_reciprocal_rank", "mean reciprocal rank", metrics.meanReciprocalRank),
      ]
    case .none: []
    }
  }

  /// What `tokens` counts.
  public var unit: String {
    if case .perplexity = measures { "tokens" } else { "examples" }
  }
}

extension RetrievalMetrics {
  /// Of vectors of length 1: where b_i stands among all b by their cosines to a_i.
  fileprivate init(_ first: [[Float]], _ second: [[Float]]) throws(Refusal) {
    let width = first.first?.count ?? 0
    let a = Tensor(first.flatMap { $0 }, shape: [first.count, width])
    let cosines = a.multiplied(byTransposeOf: Tensor(second.flatMap { $0 }, shape: [second.count, width])).floats
    let ranks = first.indices.map { row in
      Self.rank(of: row, in: cosines[row * second.count..<(row + 1) * second.count].map(Double.init))
    }
    try self.init(ranks: ranks, candidates: second.count)
  }
}
