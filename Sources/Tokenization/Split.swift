/// Cuts words by a pattern.
struct Split: PreTokenizer {
  let pattern: Pattern
  let behavior: SplitBehavior
  let isInverted: Bool

  init(_ field: Field) throws(TokenizerError) {
    pattern = try Pattern(field["pattern"])
    behavior = try SplitBehavior(field["behavior"])
    isInverted = try field["invert"].bool(default: false)
  }

  func apply(to text: inout PreTokenizedText) {
    // The well-known patterns match every scalar: all that is to do is to cut.
    if case .known(let scanner) = pattern, behavior == .isolated || (behavior == .removed && isInverted) {
      return scanner.cut(&text)
    }
    text.split(behavior) { bytes, word, found in
      var rest = word.lowerBound
      pattern.forEachMatch(in: bytes, word) { match in
        if rest < match.lowerBound { found.append((rest..<match.lowerBound, isInverted)) }
        found.append((match, !isInverted))
        rest = match.upperBound
      }
      if rest < word.upperBound { found.append((rest..<word.upperBound, isInverted)) }
    }
  }
}
