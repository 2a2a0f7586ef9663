/// Rewrites every byte as a visible character, so that a vocabulary of characters covers all text.
struct ByteLevel: PreTokenizer {
  /// Puts a blank before words that have none, so that the first word of a text is a word like any other.
  let addsPrefixSpace: Bool
  /// Cuts by GPT-2's pattern first.
  let splits: Bool

  /// A blank becomes two bytes, and so may every other byte.
  var growth: Int { 4 }

  func apply(to text: inout PreTokenizedText) {
    if addsPrefixSpace {
      text.rewrite { text, word, new in
        if text.bytes[word.lowerBound] != UInt8(ascii: " ") { new.append(UInt8(ascii: " "), from: word.lowerBound) }
        new.copy(word)
      }
    }
    if splits { SplitPattern.gpt2.cut(&text) }
    text.rewrite { text, word, new in
      for at in word { ByteAlphabet.append(text.bytes[at], from: at, to: &new) }
    }
  }
}

/// GPT-2's bijection between bytes and characters: a visible Latin-1 character stands for itself, the others are
/// moved to U+0100 and beyond in their order.
enum ByteAlphabet {
  private static let scalars: [UInt16] = {
    var moved: UInt16 = 0x100
    return (0...0xFF as ClosedRange<UInt16>).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
      default:
        defer { moved += 1 }
        return moved
      }
    }
  }()

  private static let bytes: [UInt16: UInt8] =
    Dictionary(uniqueKeysWithValues: scalars.enumerated().map { ($1, UInt8($0)) })

  /// Appends the character of a byte, as UTF-8.
  static func append(_ byte: UInt8, to text: inout [UInt8]) {
    let scalar = scalars[Int(byte)]
    if scalar < 0x80 {
      text.append(UInt8(scalar))
    } else {
      text.append(UInt8(0xC0 | scalar >> 6))
      text.append(UInt8(0x80 | scalar & 0x3F))
    }
  }

  static func append(_ byte: UInt8, from index: Int, to text: inout Rewriting) {
    let scalar = scalars[Int(byte)]
    if scalar < 0x80 {
      text.append(UInt8(scalar), from: index)
    } else {
      text.append(UInt8(0xC0 | scalar >> 6), from: index)
      text.append(UInt8(0x80 | scalar & 0x3F), from: index)
    }
  }

  /// The bytes a token stands for, or the token itself where it holds any other character.
  static func decode(_ token: [UInt8]) -> [UInt8] {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(token.count)
    var at = 0
    while at < token.count {
      let scalar = token.scalar(at: at)
      guard let key = UInt16(exactly: scalar.value.value), let byte = bytes[key] else { return token }
      decoded.append(byte)
      at = scalar.end
    }
    return decoded
  }
}
