/// What the split patterns ask of a scalar, as of Unicode 16: that is what the expressions of the `tokenizers` library
/// know, and to them a later scalar is nothing at all.
enum ScalarClass: UInt8, Sendable {
  /// `\p{L}`
  case letter
  /// `\p{N}`
  case number
  /// `[\r\n]`
  case lineBreak
  /// `\s` but no line break
  case space
  case other

  var isSpace: Bool { self == .space || self == .lineBreak }

  @inline(__always)
  init(_ scalar: Unicode.Scalar) {
    switch scalar.value {
    case 0x61...0x7A, 0x41...0x5A: self = .letter
    case 0x30...0x39: self = .number
    case 0x0A, 0x0D: self = .lineBreak
    case 0x20, 0x09, 0x0B, 0x0C: self = .space
    case 0..<0x80: self = .other
    default: self = Self.beyondASCII(scalar)
    }
  }

  @inline(never)
  private static func beyondASCII(_ scalar: Unicode.Scalar) -> ScalarClass {
    let properties = scalar.properties
    if properties.isWhitespace { return .space }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      return scalar.isAssigned(by: 16) ? .letter : .other
    case .decimalNumber, .letterNumber, .otherNumber:
      return scalar.isAssigned(by: 16) ? .number : .other
    default: return .other
    }
  }
}

extension Unicode.Scalar {
  /// Whether a version of Unicode knows the scalar.
  func isAssigned(by version: Int) -> Bool {
    guard let age = properties.age else { return false }
    return age <= (version, 0)
  }

  /// In one of the number categories, of the newest Unicode.
  var isNumeric: Bool {
    if isASCII { return (0x30...0x39).contains(value) }
    return switch properties.generalCategory {
    case .decimalNumber, .letterNumber, .otherNumber: true
    default: false
    }
  }

  /// `\w` of Unicode's regular expressions, as of Unicode 16.
  var isWord: Bool {
    guard isAssigned(by: 16) else { return false }
    return switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: true
    default: properties.isAlphabetic || properties.isJoinControl
    }
  }
}

extension [UInt8] {
  /// The scalar that begins at an offset, and where it ends.
  ///
  /// - Precondition: valid UTF-8 begins there, as it does in every piece of a `String` cut at scalars.
  @inline(__always)
  func scalar(at start: Int) -> (value: Unicode.Scalar, end: Int) {
    let lead = self[start]
    if lead < 0x80 { return (Unicode.Scalar(lead), start + 1) }
    let length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    var value = UInt32(lead) & (length == 2 ? 0x1F : length == 3 ? 0x0F : 0x07)
    for i in 1..<length { value = value << 6 | UInt32(self[start + i]) & 0x3F }
    return (Unicode.Scalar(value) ?? "\u{FFFD}", start + length)
  }

  /// The scalar that ends at an offset beyond 0.
  func scalar(endingAt end: Int) -> (value: Unicode.Scalar, start: Int) {
    var start = end - 1
    while start > 0, self[start] & 0xC0 == 0x80 { start -= 1 }
    return (scalar(at: start).value, start)
  }

  /// Where the run of scalars that satisfy the condition ends.
  @inline(__always)
  func skip(from start: Int, to end: Int, while condition: (Unicode.Scalar) -> Bool) -> Int {
    var at = start
    while at < end {
      let scalar = scalar(at: at)
      guard condition(scalar.value) else { break }
      at = scalar.end
    }
    return at
  }
}
