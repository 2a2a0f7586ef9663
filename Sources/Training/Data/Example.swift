/// One tokenised example.
public struct Example: Sendable, Hashable {
  public var ids: [Int32]
  /// The ids that are learned, in order, none empty and no two overlapping; the others are context.
  public var learned: [Range<Int>]

  public init(ids: [Int32], learned: [Range<Int>]) {
    self.ids = ids
    self.learned = learned.map { $0.clamped(to: 0..<ids.count) }.filter { !$0.isEmpty }
  }

  /// An example whose ids are learned from an index on.
  public init(ids: [Int32], learnedFrom start: Int = 0) {
    self.init(ids: ids, learned: [min(start, ids.count)..<ids.count])
  }

  /// What row t predicts: the next id where that is to be learned, else −100.
  public var labels: [Int32] {
    var labels = [Int32](repeating: -100, count: ids.count)
    for range in learned {
      for index in max(1, range.lowerBound)..<max(1, range.upperBound) { labels[index - 1] = ids[index] }
    }
    return labels
  }

  /// Labels that count: nothing predicts the first id.
  public var labelCount: Int { learned.reduce(0) { $0 + $1.count } - (learned.first?.lowerBound == 0 ? 1 : 0) }

  /// The first so many ids.
  public func prefix(_ count: Int) -> Example { Example(ids: Array(ids.prefix(count)), learned: learned) }
}
