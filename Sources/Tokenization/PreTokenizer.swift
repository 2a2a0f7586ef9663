/// A step that cuts text into words, and may rewrite it.
protocol PreTokenizer: Sendable {
  func apply(to text: inout PreTokenizedText)
}

/// Text with the words found in it so far; words do not overlap, are in order and never empty.
struct PreTokenizedText {
  var bytes: [UInt8]
  var words: [Range<Int>]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    words = bytes.isEmpty ? [] : [0..<bytes.count]
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
}

enum PreTokenizers {
  /// The steps of a `pre_tokenizer` field, sequences flattened.
  static func read(_ field: Field) throws(TokenizerError) -> [any PreTokenizer] {
    if field.isNull { return [] }
    switch try field.type() {
    case "ByteLevel":
      return [
        ByteLevel(
          addsPrefixSpace: try field["add_prefix_space"].bool(), splits: try field["use_regex"].bool(default: true))
      ]
    case "Digits": return [Digits(individual: try field["individual_digits"].bool())]
    case "Split": return [try Split(field)]
    case "Sequence":
      var steps: [any PreTokenizer] = []
      for item in try field["pretokenizers"].items() {
        steps += try read(item)
        // Each may double the text again: a document with a long list of them would fill any memory.
        if steps.count(where: { $0 is ByteLevel }) > 1 { throw item.refusal("a second ByteLevel is not supported") }
      }
      return steps
    case let type: throw field.unsupported(type: type)
    }
  }
}
