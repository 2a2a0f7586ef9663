/// What becomes of the delimiters that text is cut at.
enum SplitBehavior: String, Sendable, CaseIterable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"

  init(_ field: Field) throws(TokenizerError) {
    let name = try field.string()
    guard let behavior = SplitBehavior(rawValue: name) else { throw field.refusal("\(quoted(name)) is not supported") }
    self = behavior
  }

  /// Whether a part belongs to the piece of the one before it.
  fileprivate func joins(_ isDelimiter: Bool, to wasDelimiter: Bool) -> Bool {
    switch self {
    case .removed, .isolated: false
    case .contiguous: isDelimiter == wasDelimiter
    case .mergedWithPrevious: isDelimiter && !wasDelimiter
    case .mergedWithNext: !isDelimiter && wasDelimiter
    }
  }
}

typealias SplitParts = [(range: Range<Int>, isDelimiter: Bool)]

extension PreTokenizedText {
  /// Cuts every word at its delimiters; `find` lists delimiters and the rest, in order and without a gap.
  mutating func split(
    _ behavior: SplitBehavior, _ find: (_ bytes: [UInt8], _ word: Range<Int>, _ found: inout SplitParts) -> Void
  ) {
    var pieces: [Range<Int>] = []
    pieces.reserveCapacity(max(words.count, bytes.count / 4))
    var found: SplitParts = []
    for word in words {
      found.removeAll(keepingCapacity: true)
      find(bytes, word, &found)
      var piece: Range<Int>?
      var wasDelimiter = false
      for (range, isDelimiter) in found where behavior != .removed || !isDelimiter {
        if let start = piece?.lowerBound, behavior.joins(isDelimiter, to: wasDelimiter) {
          piece = start..<range.upperBound
        } else {
          if let piece, !piece.isEmpty { pieces.append(piece) }
          piece = range
        }
        wasDelimiter = isDelimiter
      }
      if let piece, !piece.isEmpty { pieces.append(piece) }
    }
    words = pieces
  }
}

/// Cuts at scalars of one kind, each a delimiter of its own.
struct ScalarSplit: PreTokenizer {
  let behavior: SplitBehavior
  let isDelimiter: @Sendable (Unicode.Scalar) -> Bool

  func apply(to text: inout PreTokenizedText) {
    text.split(behavior) { bytes, word, found in
      var rest = word.lowerBound
      var at = rest
      while at < word.upperBound {
        let scalar = bytes.scalar(at: at)
        if isDelimiter(scalar.value) {
          if rest < at { found.append((rest..<at, false)) }
          found.append((at..<scalar.end, true))
          rest = scalar.end
        }
        at = scalar.end
      }
      if rest < at { found.append((rest..<at, false)) }
    }
  }
}

enum Delimiters {
  @Sendable static func isWhitespace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isWhiteSpace
  }

  /// ASCII's symbols count as punctuation.
  @Sendable static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool { UnicodeTables.punctuation.contains(scalar) }
}
