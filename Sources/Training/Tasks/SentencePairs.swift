import Engine
import Models
import PEFTKernel

/// Texts that belong together learn to be near one another, and far from the other texts of their batch.
///
///     loss_i = −log softmax_j (scale · cos(a_i, b_j))[i]
///
/// over the second texts b_j of the batch: the ranking loss with negatives from the batch [arXiv:1705.00652] as
/// `sentence-transformers` has it (MultipleNegativesRankingLoss). Micro-batches are apart: none sees another's texts.
public struct SentencePairs: Objective {
  /// How hidden states become one vector a text.
  public enum Pooling: String, Sendable, CaseIterable {
    /// Their mean over the tokens.
    case mean
    /// That of the first token.
    case first = "cls"
  }

  public let encoder: any TextEncoder
  public let pooling: Pooling
  /// Of the cosines.
  public let scale: Double

  public init(_ encoder: any TextEncoder, pooling: Pooling = .mean, scale: Double = 20) {
    self.encoder = encoder
    self.pooling = pooling
    self.scale = scale
  }

  public var model: any Model { encoder }

  public func on(_ model: any Model) throws(Refusal) -> any Objective {
    guard let encoder = model as? any TextEncoder else { throw .unfit(model, "an encoder of texts") }
    return SentencePairs(encoder, pooling: pooling, scale: scale)
  }

  /// A vector of length 1 for every sequence of the batch, [sequences, hidden].
  public func embeddings(_ batch: Batch, _ run: ModelRun) -> Tensor {
    let encoding = encoder.encode(batch.ids, types: batch.types, run)
    let rows = run.pass.rows
    switch pooling {
    case .mean: return encoding.mean(over: rows).unitRows()
    case .first: return encoding.hidden.gatherRows(rows.sequences.map { Int32($0.lowerBound) }).unitRows()
    }
  }

  public func loss(_ batch: Batch, scale: Double, _ run: ModelRun) -> Tensor {
    let (first, second) = halves(embeddings(batch, run))
    return loss(first, second, scale: scale)
  }

  public func judge(_ batch: Batch, _ run: ModelRun) -> Judgement {
    let (first, second) = halves(embeddings(batch, run))
    let (a, b, width) = (first.floats, second.floats, first.columns)
    return Judgement(
      loss: loss(first, second, scale: 1).item,
      answers: (0..<first.rows).map { row in
        let range = row * width..<(row + 1) * width
        return .pair(Array(a[range]), Array(b[range]))
      })
  }

  public func answers(_ batch: Batch, _ run: ModelRun) -> Tensor? { embeddings(batch, run) }

  public func forward(_ batch: Batch, _ run: ModelRun) { _ = encoder.encode(batch.ids, types: batch.types, run) }

  /// The sum over the pairs, times `factor`.
  private func loss(_ first: Tensor, _ second: Tensor, scale factor: Double) -> Tensor {
    let logits = first.multiplied(byTransposeOf: second, scale: scale)
    return logits.crossEntropy(labels: (0..<Int32(first.rows)).map { $0 }, scale: factor, vocabulary: second.rows) { $0 }
  }

  /// A batch has the first texts of all pairs, and then the second ones.
  private func halves(_ all: Tensor) -> (Tensor, Tensor) {
    let count = all.rows / 2
    return (all.slice(rows: 0..<count), all.slice(rows: count..<2 * count))
  }
}
