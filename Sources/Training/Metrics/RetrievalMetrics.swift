import JSON
import PEFTKernel

/// How high the right partner stands when all candidates are sorted by their likeness.
public struct RetrievalMetrics: Sendable, Hashable {
  /// Searches.
  public let count: Int
  /// Among so many the right one was searched.
  public let candidates: Int
  /// The share of searches that have the right one first.
  public let accuracyAt1: Double
  /// The share that have it among the first ten.
  public let accuracyAt10: Double
  /// Mean of 1 / place, places counted from 1.
  public let meanReciprocalRank: Double

  /// - Parameter ranks: how many candidates stand before the right one, of each search.
  /// - Throws: of no searches, and ranks outside of 0 to `candidates` − 1.
  public init(ranks: [Int], candidates: Int) throws(Refusal) {
    guard !ranks.isEmpty else { throw Refusal("there are no searches: nothing can be said of them") }
    if let wrong = ranks.firstIndex(where: { $0 < 0 || $0 >= candidates }) {
      throw Refusal("search \(wrong + 1) has rank \(ranks[wrong]) among \(candidates) candidates")
    }
    count = ranks.count
    self.candidates = candidates
    accuracyAt1 = Double(ranks.count { $0 == 0 }) / Double(ranks.count)
    accuracyAt10 = Double(ranks.count { $0 < 10 }) / Double(ranks.count)
    meanReciprocalRank = ranks.reduce(0) { $0 + 1 / (Double($1) + 1) } / Double(ranks.count)
  }

  /// How many candidates are as like as the right one or liker, itself not counted: a model to which all are alike finds nothing.
  /// A likeness that is no number is below all others, and the right one's is last.
  public static func rank(of right: Int, in likeness: [Double]) -> Int {
    let own = likeness[right]
    guard !own.isNaN else { return likeness.count - 1 }
    return likeness.indices.count { $0 != right && likeness[$0] >= own }
  }
}

extension RetrievalMetrics {
  /// Keys in this order.
  public var json: JSON {
    [
      "examples": .int(count), "candidates": .int(candidates), "accuracy_at_1": .double(accuracyAt1),
      "accuracy_at_10": .double(accuracyAt10), "mean_reciprocal_rank": .double(meanReciprocalRank),
    ]
  }
}
