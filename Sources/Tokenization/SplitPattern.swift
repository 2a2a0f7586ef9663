/// The patterns that byte-level tokenizers cut text by, each as a hand-written scanner: it gives exactly the matches
/// of the regular expression, many times as fast as `Expression`. They match every scalar.
enum SplitPattern: Sendable, CaseIterable {
  case gpt2
  case llama3
  case qwen2

  init?(regex: String) {
    guard let pattern = Self.allCases.first(where: { $0.regex.utf8.elementsEqual(regex.utf8) }) else { return nil }
    self = pattern
  }

  var regex: String {
    switch self {
    case .gpt2: #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    case .llama3: Self.modern(number: #"\p{N}{1,3}"#)
    case .qwen2: Self.modern(number: #"\p{N}"#)
    }
  }

  private static func modern(number: String) -> String {
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + number
      + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  }

  func cut(_ text: inout PreTokenizedText) {
    switch self {
    case .gpt2: text.cut(Self.gpt2Match)
    case .llama3: text.cut { Self.modernMatch($0, $1, $2, longestNumber: 3) }
    case .qwen2: text.cut { Self.modernMatch($0, $1, $2, longestNumber: 1) }
    }
  }

  /// The end of the match that begins at `start`.
  func match(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Int {
    switch self {
    case .gpt2: Self.gpt2Match(bytes, start, end)
    case .llama3: Self.modernMatch(bytes, start, end, longestNumber: 3)
    case .qwen2: Self.modernMatch(bytes, start, end, longestNumber: 1)
    }
  }
}

extension SplitPattern {
  /// The end of the match at `start`, alternative by alternative.
  private static func gpt2Match(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Int {
    if let contraction = contraction(bytes, start, end, ignoringCase: false) { return contraction }
    var scalar = bytes.scalar(at: start)
    var kind = ScalarClass(scalar.value)
    if bytes[start] == UInt8(ascii: " "), scalar.end < end {
      let next = bytes.scalar(at: scalar.end)
      let nextKind = ScalarClass(next.value)
      if !nextKind.isSpace { (scalar, kind) = (next, nextKind) }
    }
    if kind.isSpace { return spaces(bytes, start, end) }
    return bytes.skip(from: scalar.end, to: end) { ScalarClass($0) == kind }
  }

  private static func modernMatch(_ bytes: [UInt8], _ start: Int, _ end: Int, longestNumber: Int) -> Int {
    if let contraction = contraction(bytes, start, end, ignoringCase: true) { return contraction }
    let first = bytes.scalar(at: start)
    let kind = ScalarClass(first.value)
    switch kind {
    case .letter: return bytes.skip(from: first.end, to: end) { ScalarClass($0) == .letter }
    case .number: return number(bytes, first.end, end, longest: longestNumber)
    case .space, .other:
      guard first.end < end else { break }
      let next = bytes.scalar(at: first.end)
      let nextKind = ScalarClass(next.value)
      // One scalar of another kind may lead a word, whichever it is; only a blank may lead punctuation.
      if nextKind == .letter { return bytes.skip(from: next.end, to: end) { ScalarClass($0) == .letter } }
      if bytes[start] == UInt8(ascii: " "), nextKind == .other { return punctuation(bytes, next.end, end) }
    case .lineBreak: break
    }
    return kind == .other ? punctuation(bytes, first.end, end) : breaks(bytes, start, end) ?? spaces(bytes, start, end)
  }

  private static func number(_ bytes: [UInt8], _ secondDigit: Int, _ end: Int, longest: Int) -> Int {
    var at = secondDigit
    var length = 1
    while length < longest, at < end {
      let scalar = bytes.scalar(at: at)
      guard ScalarClass(scalar.value) == .number else { break }
      at = scalar.end
      length += 1
    }
    return at
  }

  /// `[^\s\p{L}\p{N}]+[\r\n]*`, its first scalar already taken.
  private static func punctuation(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Int {
    let marks = bytes.skip(from: start, to: end) { ScalarClass($0) == .other }
    return bytes.skip(from: marks, to: end) { ScalarClass($0) == .lineBreak }
  }

  /// `\s*[\r\n]+`: the white space up to its last line break, `nil` where there is none.
  private static func breaks(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Int? {
    var last: Int?
    var at = start
    while at < end {
      let scalar = bytes.scalar(at: at)
      let kind = ScalarClass(scalar.value)
      guard kind.isSpace else { break }
      at = scalar.end
      if kind == .lineBreak { last = at }
    }
    return last
  }

  /// `\s+(?!\S)|\s+`: white space, less its last scalar where a word follows and something is left.
  private static func spaces(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Int {
    var last = start
    var at = start
    while at < end {
      let scalar = bytes.scalar(at: at)
      guard ScalarClass(scalar.value).isSpace else { break }
      last = at
      at = scalar.end
    }
    return at == end || last == start ? at : last
  }

  /// `'s|'t|'re|'ve|'m|'ll|'d`
  private static func contraction(_ bytes: [UInt8], _ start: Int, _ end: Int, ignoringCase: Bool) -> Int? {
    guard bytes[start] == UInt8(ascii: "'"), start + 1 < end else { return nil }
    func letter(_ at: Int) -> UInt8 {
      guard at < end else { return 0 }
      let byte = bytes[at]
      return ignoringCase && (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
    switch (letter(start + 1), letter(start + 2)) {
    case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _), (UInt8(ascii: "d"), _): return start + 2
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")), (UInt8(ascii: "l"), UInt8(ascii: "l")):
      return start + 3
    // U+017F, the long s, is an s when case is ignored.
    case (0xC5, 0xBF) where ignoringCase: return start + 3
    default: return nil
    }
  }
}
