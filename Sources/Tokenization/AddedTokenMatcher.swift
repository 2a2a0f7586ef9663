/// Finds added tokens in text: the leftmost, and the longest of those that begin at the same place.
struct AddedTokenMatcher: Sendable {
  enum Segment: Equatable {
    case text(Range<Int>)
    case token(Int)
  }

  /// A trie; an edge is its node and a byte, packed.
  private var edges: [Int: Int] = [:]
  private var tokens: [AddedToken?] = [nil]
  private var begins = [Bool](repeating: false, count: 256)

  mutating func insert(_ content: [UInt8], _ token: AddedToken) {
    guard let first = content.first else { return }
    begins[Int(first)] = true
    var node = 0
    for byte in content {
      let edge = node << 8 | Int(byte)
      if let child = edges[edge] {
        node = child
      } else {
        node = tokens.count
        tokens.append(nil)
        edges[edge] = node
      }
    }
    tokens[node] = token
  }

  /// The text in order, cut at its tokens; empty text has no segments.
  func split(_ text: [UInt8]) -> [Segment] {
    guard tokens.count > 1 else { return text.isEmpty ? [] : [.text(0..<text.count)] }
    var segments: [Segment] = []
    var done = 0
    var at = 0
    while at < text.count {
      guard begins[Int(text[at])], let (token, end) = longest(in: text, at: at) else {
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
          guard scalar.value.properties.isWhitespace else { break }
          start = scalar.start
        }
      }
      if token.stripsRight { stop = text.skip(from: stop, to: text.count) { $0.properties.isWhitespace } }
      if done < start { segments.append(.text(done..<start)) }
      segments.append(.token(token.id))
      done = stop
    }
    if done < text.count { segments.append(.text(done..<text.count)) }
    return segments
  }

  private func longest(in text: [UInt8], at start: Int) -> (AddedToken, end: Int)? {
    var best: (AddedToken, end: Int)?
    var node = 0
    var at = start
    while at < text.count, let child = edges[node << 8 | Int(text[at])] {
      node = child
      at += 1
      if let token = tokens[node] { best = (token, at) }
    }
    return best
  }

  private func touchesWord(_ found: Range<Int>, in text: [UInt8]) -> Bool {
    (found.lowerBound > 0 && text.scalar(endingAt: found.lowerBound).value.isWord)
      || (found.upperBound < text.count && text.scalar(at: found.upperBound).value.isWord)
  }
}
