/// Finds added tokens in text: the leftmost, and the longest of those that begin at the same place.
struct AddedTokenMatcher: Sendable {
  enum Segment: Equatable {
    case text(Range<Int>)
    /// The token, and what it takes of the text.
    case token(Int, Range<Int>)
  }

  private var tokens = ByteTrie<AddedToken>()
  private var begins = [Bool](repeating: false, count: 256)

  /// Puts a token in; returns another one that is already found by this content.
  mutating func insert(_ content: [UInt8], _ token: AddedToken) -> AddedToken? {
    guard let first = content.first else { return nil }
    begins[Int(first)] = true
    let former = tokens.insert(content, token)
    return former?.id == token.id ? nil : former
  }

  /// The text in order, cut at its tokens; empty text has no segments.
  func split(_ text: [UInt8]) -> [Segment] {
    guard !tokens.isEmpty else { return text.isEmpty ? [] : [.text(0..<text.count)] }
    var segments: [Segment] = []
    var done = 0
    var at = 0
    while at < text.count {
      guard begins[Int(text[at])], let (token, end) = tokens.longest(in: text, from: at, to: text.count) else {
        at += 1
        continue
      }
      let found = at..<end
      at = end
      if token.isSingleWord, touchesWord(found, in: text) { continue }
      var (start, stop) = (found.lowerBound, found.upperBound)
      if token.stripsLeft {
        while start > done {
          let scalar = text.scalar(endingAt: start)
          guard scalar.value.isWhiteSpace else { break }
          start = scalar.start
        }
      }
      if token.stripsRight { stop = text.skip(from: stop, to: text.count) { $0.isWhiteSpace } }
      if done < start { segments.append(.text(done..<start)) }
      segments.append(.token(token.id, start..<stop))
      done = stop
    }
    if done < text.count { segments.append(.text(done..<text.count)) }
    return segments
  }

  private func touchesWord(_ found: Range<Int>, in text: [UInt8]) -> Bool {
    (found.lowerBound > 0 && text.scalar(endingAt: found.lowerBound).value.isWord)
      || (found.upperBound < text.count && text.scalar(at: found.upperBound).value.isWord)
  }
}
