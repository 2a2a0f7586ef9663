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
    text.rewrite { text, word, new in ByteAlphabet.append(word, of: text.bytes, to: &new) }
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

  /// The byte of every scalar; beyond bytes for one that stands for none.
  private static let bytes: [UInt16] = {
    var bytes = [UInt16](repeating: .max, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = UInt16(byte) }
    return bytes
  }()

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

  /// Appends the characters of a range of bytes, those that stand for themselves in one go.
  static func append(_ range: Range<Int>, of bytes: [UInt8], to text: inout Rewriting) {
    var (copied, at) = (range.lowerBound, range.lowerBound)
    while at < range.upperBound {
      let byte = bytes[at]
      if byte <= 0x20 || byte >= 0x7F {
        text.copy(copied..<at)
        text.append(Unicode.Scalar(scalars[Int(byte)]) ?? "\u{FFFD}", from: at)
        copied = at + 1
      }
      at += 1
    }
    text.copy(copied..<range.upperBound)
  }

  /// The bytes a token stands for, or the token itself where it holds any other character.
  static func decode(_ token: [UInt8]) -> [UInt8] {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(token.count)
    var at = 0
    while at < token.count {
      let scalar = token.scalar(at: at)
      let value = Int(scalar.value.value)
      guard value < bytes.count, bytes[value] <= 0xFF else { return token }
      decoded.append(UInt8(bytes[value]))
      at = scalar.end
    }
    return decoded
  }
}
