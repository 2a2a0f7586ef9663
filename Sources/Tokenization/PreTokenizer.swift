/// A step that cuts text into words, and may rewrite it.
protocol PreTokenizer: Sendable {
  func apply(to text: inout PreTokenizedText)

  /// How many times as long a word may become, at the worst.
  var growth: Int { get }

  /// Whether it asks where in the text a word stood.
  var needsPlaces: Bool { get }
}

extension PreTokenizer {
  var growth: Int { 1 }
  var needsPlaces: Bool { false }
}

/// Text with the words found in it so far; words do not overlap, are in order and never empty.
struct PreTokenizedText {
  private(set) var text: SourcedText
  var words: [Range<Int>]

  var bytes: [UInt8] { text.bytes }

  init(_ text: SourcedText) {
    self.text = text
    words = text.isEmpty ? [] : [0..<text.count]
  }

  /// Cuts every word into consecutive pieces; `end` gives the end of the piece that begins at an offset, never
  /// beyond the end of the word.
  mutating func cut(_ end: (_ bytes: [UInt8], _ start: Int, _ wordEnd: Int) -> Int) {
    var pieces: [Range<Int>] = []
    pieces.reserveCapacity(max(words.count, bytes.count / 4))
    for word in words {
      var start = word.lowerBound
      while start < word.upperBound {
        let next = end(bytes, start, word.upperBound)
        pieces.append(start..<next)
        start = next
      }
    }
    words = pieces
  }

  /// Rewrites every word; what lies between words goes.
  mutating func rewrite(_ body: (_ text: SourcedText, _ word: Range<Int>, _ new: inout Rewriting) -> Void) {
    var rewritten: [Range<Int>] = []
    rewritten.reserveCapacity(words.count)
    let words = words
    text.rewrite { text, new in
      for word in words {
        let start = new.count
        body(text, word, &new)
        if new.count > start { rewritten.append(start..<new.count) }
      }
    }
    self.words = rewritten
  }
}

enum PreTokenizers {
  /// The steps of a `pre_tokenizer` field, sequences flattened.
  static func read(_ field: Field) throws(TokenizerError) -> [any PreTokenizer] {
    if field.isNull { return [] }
    let steps = try Self.steps(field)
    try field.limitGrowth(steps.map(\.growth))
    return steps
  }

  private static func steps(_ field: Field) throws(TokenizerError) -> [any PreTokenizer] {
    switch try field.type() {
    case "ByteLevel":
      return [
        ByteLevel(
          addsPrefixSpace: try field["add_prefix_space"].bool(), splits: try field["use_regex"].bool(default: true))
      ]
    case "Digits": return [Digits(individual: try field["individual_digits"].bool())]
    case "Split": return [try Split(field)]
    case "Whitespace": return [WordsAndMarks()]
    case "WhitespaceSplit": return [ScalarSplit(behavior: .removed, isDelimiter: Delimiters.isWhitespace)]
    case "BertPreTokenizer":
      return [
        ScalarSplit(behavior: .removed, isDelimiter: Delimiters.isWhitespace),
        ScalarSplit(behavior: .isolated, isDelimiter: Delimiters.isPunctuation),
      ]
    case "Punctuation":
      let behavior = field["behavior"].isNull ? SplitBehavior.isolated : try SplitBehavior(field["behavior"])
      return [ScalarSplit(behavior: behavior, isDelimiter: Delimiters.isPunctuation)]
    case "CharDelimiterSplit":
      let delimiter = try field["delimiter"].scalar()
      return [ScalarSplit(behavior: .removed) { $0 == delimiter }]
    case "FixedLength":
      let length = field["length"].isNull ? 5 : try field["length"].int()
      guard length > 0 else { throw field["length"].refusal("\(length) is not supported: words have at least one character") }
      return [FixedLength(length: length)]
    case "Metaspace": return [try Metaspace(field)]
    case "Sequence":
      var steps: [any PreTokenizer] = []
      for item in try field["pretokenizers"].items() { steps += try Self.steps(item) }
      return steps
    case let type: throw field.unsupported(type: type)
    }
  }
}

/// Cuts into words and runs of other visible characters, by `\w+|[^\w\s]+`; white space goes.
struct WordsAndMarks: PreTokenizer {
  func apply(to text: inout PreTokenizedText) {
    text.split(.removed) { bytes, word, found in
      var at = word.lowerBound
      while at < word.upperBound {
        let start = at
        let first = bytes.scalar(at: at)
        let (isSpace, isWord) = (first.value.isWhiteSpace, first.value.isWord)
        at = bytes.skip(from: first.end, to: word.upperBound) {
          isWord ? $0.isWord : $0.isWhiteSpace == isSpace && !$0.isWord
        }
        found.append((start..<at, isSpace))
      }
    }
  }
}

/// Cuts into words of so many characters.
struct FixedLength: PreTokenizer {
  let length: Int

  func apply(to text: inout PreTokenizedText) {
    text.cut { bytes, start, wordEnd in
      var left = length
      return bytes.skip(from: start, to: wordEnd) { _ in
        left -= 1
        return left >= 0
      }
    }
  }
}
