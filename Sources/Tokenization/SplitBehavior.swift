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

  /// The pieces of a text that is given as delimiters and what lies between, in order and without a gap.
  func pieces(of parts: [(range: Range<Int>, isDelimiter: Bool)]) -> [Range<Int>] {
    switch self {
    case .removed: return parts.filter { !$0.isDelimiter }.map(\.range)
    case .isolated: return parts.map(\.range)
    case .contiguous: return Self.merged(parts) { isDelimiter, wasDelimiter in isDelimiter == wasDelimiter }
    case .mergedWithPrevious: return Self.merged(parts) { isDelimiter, wasDelimiter in isDelimiter && !wasDelimiter }
    case .mergedWithNext:
      return Self.merged(parts.reversed()) { isDelimiter, wasDelimiter in isDelimiter && !wasDelimiter }.reversed()
    }
  }

  private static func merged(
    _ parts: [(range: Range<Int>, isDelimiter: Bool)], where joins: (_ isDelimiter: Bool, _ wasDelimiter: Bool) -> Bool
  ) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var wasDelimiter = false
    for (range, isDelimiter) in parts {
      if joins(isDelimiter, wasDelimiter), let last = pieces.last {
        pieces[pieces.count - 1] = min(last.lowerBound, range.lowerBound)..<max(last.upperBound, range.upperBound)
      } else {
        pieces.append(range)
      }
      wasDelimiter = isDelimiter
    }
    return pieces
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
      for piece in behavior.pieces(of: found) where !piece.isEmpty { pieces.append(piece) }
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
    scalar.value < 0x80 ? scalar == " " || (9...13).contains(scalar.value) : scalar.properties.isWhitespace
  }

  /// ASCII's symbols count as punctuation.
  @Sendable static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool { UnicodeTables.shared.punctuation.contains(scalar) }
}
