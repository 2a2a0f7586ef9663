/// One step on the way from tokens to text.
///
/// A step takes tokens and gives tokens; what the last one gives is put together. So that text can be shown while a
/// model makes it, tokens go through the steps one by one, and one whose end is not yet known goes in parts.
enum DecoderStep: Sendable {
  /// Bytes out of GPT-2's alphabet, all as one token.
  case byteLevel
  case wordPiece(prefix: [UInt8], cleansUp: Bool)
  case metaspace(replacement: Unicode.Scalar, dropsFirst: Bool)
  /// A blank where a word ends, but at the end of the text.
  case bpe(suffix: Literal)
  case replace(Replace)
  /// `<0xE2>` and the like as the bytes they name.
  case byteFallback
  /// All as one token.
  case fuse
  case strip(Unicode.Scalar, start: Int, stop: Int)
  /// A blank between tokens: what is done where there is no decoder.
  case spaced
}

enum Decoders {
  /// The steps of a `decoder` field, sequences flattened.
  static func read(_ field: Field) throws(TokenizerError) -> [DecoderStep] {
    if field.isNull { return [.spaced] }
    let steps = try Self.steps(field)
    try field.limitGrowth(steps.map(\.growth))
    return steps
  }

  private static func steps(_ field: Field) throws(TokenizerError) -> [DecoderStep] {
    switch try field.type() {
    case "ByteLevel": return [.byteLevel]
    case "WordPiece":
      return [.wordPiece(prefix: Array(try field["prefix"].string().utf8), cleansUp: try field["cleanup"].bool())]
    case "Metaspace":
      let prepending = try Metaspace.Prepending(field)
      return [.metaspace(replacement: try field["replacement"].scalar(), dropsFirst: prepending != .never)]
    case "BPEDecoder":
      let suffix = Array(try field["suffix"].string().utf8)
      guard !suffix.isEmpty else { throw field["suffix"].refusal("\"\" is not supported") }
      return [.bpe(suffix: Literal(suffix))]
    case "Replace": return [.replace(try Replace(field))]
    case "ByteFallback": return [.byteFallback]
    case "Fuse": return [.fuse]
    case "Strip":
      let (start, stop) = (try field["start"].int(), try field["stop"].int())
      for (key, count) in [("start", start), ("stop", stop)] where !(0...1_000_000).contains(count) {
        throw field[key].refusal("\(count) is not supported")
      }
      return [.strip(try field["content"].scalar(), start: start, stop: stop)]
    case "Sequence":
      var steps: [DecoderStep] = []
      for item in try field["decoders"].items() { steps += try Self.steps(item) }
      return steps
    case let type: throw field.unsupported(type: type)
    }
  }
}

extension DecoderStep {
  /// How many times as long a token may become, at the worst.
  var growth: Int {
    switch self {
    case .byteLevel: 3
    case .byteFallback, .fuse, .strip, .metaspace: 1
    case .wordPiece, .bpe, .spaced: 2
    case .replace(let replace): replace.growth
    }
  }

  /// What BERT's decoder, and `transformers` on request, take for a blank too many.
  static func cleanedUp(_ text: [UInt8], asTokens: Bool) -> [UInt8] {
    // Nothing to do without a blank, and texts are mostly tokens.
    guard text.contains(0x20) else { return text }
    var text = text
    for (pattern, content) in asTokens ? tokenBlemishes : textBlemishes {
      var new: [UInt8] = []
      var copied = 0
      pattern.forEachMatch(in: text, 0..<text.count) { match in
        new += text[copied..<match.lowerBound]
        new += content
        copied = match.upperBound
      }
      if copied > 0 { text = new + text[copied...] }
    }
    return text
  }

  private static let tokenBlemishes = blemishes([
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
    (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ])

  private static let textBlemishes = blemishes([
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"),
    (" 've", "'ve"), (" 're", "'re"),
  ])

  private static func blemishes(_ pairs: [(String, String)]) -> [(Literal, [UInt8])] {
    pairs.map { (Literal(Array($0.utf8)), Array($1.utf8)) }
  }
}
