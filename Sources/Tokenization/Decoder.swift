/// How tokens become text again, one token at a time so that text can be shown as it is made.
enum Decoder: Sendable, Equatable {
  /// No decoder: tokens stand as they are, a blank between them.
  case spaced
  /// An empty sequence: tokens stand as they are, side by side.
  case joined
  case byteLevel

  init(_ field: Field) throws(TokenizerError) {
    if field.isNull {
      self = .spaced
      return
    }
    switch try field.type() {
    case "ByteLevel": self = .byteLevel
    case "Sequence":
      let steps = try field["decoders"].items()
      guard let first = steps.first else {
        self = .joined
        return
      }
      let decoder = try Decoder(first)
      // A second step would read text, not tokens; none of the decoders known here is meant for that.
      if steps.count > 1 { throw steps[1].refusal("a second decoder is not supported") }
      self = decoder
    case let type: throw field.unsupported(type: type)
    }
  }

  func bytes(of token: [UInt8], isFirst: Bool) -> [UInt8] {
    switch self {
    case .spaced: isFirst ? token : [UInt8(ascii: " ")] + token
    case .joined: token
    case .byteLevel: ByteAlphabet.decode(token)
    }
  }
}
