/// What `Split` and `Replace` look for in text.
enum Pattern: Sendable {
  case literal(Literal)
  /// One of the well-known expressions, which have scanners of their own.
  case known(SplitPattern)
  case expression(Expression)

  /// Reads `{"String": …}` or `{"Regex": …}`.
  init(_ field: Field) throws(TokenizerError) {
    let (string, regex) = (field["String"], field["Regex"])
    if !string.isNull {
      let text = Array(try string.string().utf8)
      // Nothing is found everywhere, by the library's lights: that is the empty expression.
      self = text.isEmpty ? .expression(try Expression("", regex)) : .literal(Literal(text))
    } else if !regex.isNull {
      let text = try regex.string()
      if let known = SplitPattern(regex: text) { self = .known(known) } else { self = .expression(try Expression(text, regex)) }
    } else {
      throw field.refusal("expected a \"String\" or a \"Regex\"")
    }
  }

  /// The matches within a range, from left to right, none overlapping another.
  func forEachMatch(in bytes: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void) {
    switch self {
    case .literal(let literal): literal.forEachMatch(in: bytes, range, body)
    case .known(let scanner):
      var text = range.lowerBound
      while text < range.upperBound {
        let end = scanner.match(bytes, text, range.upperBound)
        body(text..<end)
        text = end
      }
    case .expression(let expression): expression.forEachMatch(in: bytes, range, body)
    }
  }

  /// The fewest bytes that a match takes, and whether it may take none.
  var shortestMatch: Int {
    switch self {
    case .literal(let literal): literal.text.count
    case .known: 1
    case .expression: 0
    }
  }
}

/// Finds a text in another in one pass, whatever the two are (Knuth, Morris and Pratt).
struct Literal: Sendable {
  let text: [UInt8]
  /// For every beginning of the text, the length of the longest proper one that it also ends in.
  private let borders: [Int]

  init(_ text: [UInt8]) {
    self.text = text
    var borders = [0]
    var length = 0
    for i in text.indices.dropFirst() {
      while length > 0, text[i] != text[length] { length = borders[length - 1] }
      if text[i] == text[length] { length += 1 }
      borders.append(length)
    }
    self.borders = borders
  }

  func forEachMatch(in bytes: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void) {
    var length = 0
    for at in range {
      while length > 0, bytes[at] != text[length] { length = borders[length - 1] }
      if bytes[at] == text[length] { length += 1 }
      if length == text.count {
        body(at + 1 - length..<at + 1)
        length = 0
      }
    }
  }
}

/// Puts a text in the place of every match; a normalizer and a decoder.
struct Replace: Normalizer {
  let pattern: Pattern
  let content: [UInt8]

  init(_ field: Field) throws(TokenizerError) {
    pattern = try Pattern(field["pattern"])
    content = Array(try field["content"].string().utf8)
  }

  var growth: Int {
    let shortest = pattern.shortestMatch
    return shortest == 0 ? content.count + 1 : max(1, (content.count + shortest - 1) / shortest)
  }

  func normalize(_ text: inout SourcedText) {
    // Even an expression that matches nothing is not found where there is nothing.
    guard !text.isEmpty else { return }
    var matches: [Range<Int>] = []
    pattern.forEachMatch(in: text.bytes, 0..<text.count) { matches.append($0) }
    guard !matches.isEmpty else { return }
    text.rewrite { text, new in
      var copied = 0
      for match in matches {
        new.copy(copied..<match.lowerBound)
        // The library holds it for made of the last character that it replaces.
        let last = match.upperBound == 0 ? 0 : text.bytes.scalar(endingAt: match.upperBound).start
        new.append(content, from: last)
        copied = match.upperBound
      }
      new.copy(copied..<text.count)
    }
  }

  func replaced(_ token: [UInt8]) -> [UInt8] {
    guard !token.isEmpty else { return token }
    var new: [UInt8] = []
    var copied = 0
    pattern.forEachMatch(in: token, 0..<token.count) { match in
      new += token[copied..<match.lowerBound]
      new += content
      copied = match.upperBound
    }
    return copied == 0 && new.isEmpty ? token : new + token[copied...]
  }
}
