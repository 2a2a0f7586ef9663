/// One thing to learn from: what the model reads, and what it should make of it.
public struct Example: Sendable, Hashable {
  /// What is to be learned.
  public enum Target: Sendable, Hashable {
    /// The ids in these ranges, in order, none empty and no two overlapping; the others are context.
    case tokens([Range<Int>])
    /// A class, by its id.
    case label(Int32)
    /// That its two texts belong together.
    case partner
    /// Nothing: it is only read.
    case none
  }

  /// An image as a model reads it.
  public struct Image: Sendable, Hashable {
    /// [channels, height, width], row-major.
    public var pixels: [Float]
    /// Rows of activations that it takes.
    public var rows: Int

    public init(pixels: [Float], rows: Int) {
      self.pixels = pixels
      self.rows = rows
    }
  }

  /// The tokens of a text, or of two that are read apart, one behind the other; none for an image.
  public var ids: [Int32]
  /// The type of every token; nil where the model reads none.
  public var types: [Int32]?
  /// Where the second of two texts begins.
  public var border: Int?
  public var image: Image?
  public var target: Target

  public init(ids: [Int32], types: [Int32]? = nil, border: Int? = nil, target: Target) {
    self.ids = ids
    self.types = types
    self.border = border
    self.target = target
  }

  public init(image: Image, target: Target) {
    ids = []
    self.image = image
    self.target = target
  }

  /// How many rows of activations it takes.
  public var size: Int { image?.rows ?? ids.count }
}

// Of tokens that are learned.
extension Example {
  public init(ids: [Int32], learned: [Range<Int>]) {
    self.init(ids: ids, target: .tokens(learned.map { $0.clamped(to: 0..<ids.count) }.filter { !$0.isEmpty }))
  }

  /// An example whose ids are learned from an index on.
  public init(ids: [Int32], learnedFrom start: Int = 0) {
    self.init(ids: ids, learned: [min(start, ids.count)..<ids.count])
  }

  /// The ids that are learned, in ranges; none where something else is.
  public var learned: [Range<Int>] {
    guard case .tokens(let ranges) = target else { return [] }
    return ranges
  }

  /// What row t predicts: the next id where that is to be learned, else −100.
  public var labels: [Int32] {
    var labels = [Int32](repeating: -100, count: ids.count)
    for range in learned {
      for index in max(1, range.lowerBound)..<max(1, range.upperBound) { labels[index - 1] = ids[index] }
    }
    return labels
  }

  /// Terms of the loss: of tokens those that something predicts, and nothing predicts the first; else one.
  public var labelCount: Int {
    switch target {
    case .tokens(let ranges): ranges.reduce(0) { $0 + $1.count } - (ranges.first?.lowerBound == 0 ? 1 : 0)
    case .label, .partner: 1
    case .none: 0
    }
  }

  /// The first so many ids.
  public func prefix(_ count: Int) -> Example { Example(ids: Array(ids.prefix(count)), learned: learned) }
}
