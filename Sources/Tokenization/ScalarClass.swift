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
    let value = scalar.value
    // Comparisons, and no patterns: those are calls of generic functions where nothing is optimized.
    if value >= 0x80 {
      self = Self.beyondASCII(scalar)
    } else if value >= 0x61 && value <= 0x7A || value >= 0x41 && value <= 0x5A {
      self = .letter
    } else if value >= 0x30 && value <= 0x39 {
      self = .number
    } else if value == 0x0A || value == 0x0D {
      self = .lineBreak
    } else {
      self = scalar.isWhiteSpace ? .space : .other
    }
  }

  @inline(never)
  private static func beyondASCII(_ scalar: Unicode.Scalar) -> ScalarClass {
    if UnicodeTables.letters.contains(scalar) { return .letter }
    return scalar.isWhiteSpace ? .space : UnicodeTables.numbers.contains(scalar) ? .number : .other
  }
}

extension Unicode.Scalar {
  /// White space is the same in all versions of Unicode that anybody uses.
  @inline(__always)
  var isWhiteSpace: Bool {
    if value < 0x85 { return value == 0x20 || value >= 0x09 && value <= 0x0D }
    return switch value {
    case 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  /// Whether a version of Unicode knows the scalar.
  func isAssigned(by version: Int) -> Bool {
    guard let age = properties.age else { return false }
    return age <= (version, 0)
  }

  /// In one of the number categories, of the newest Unicode.
  var isNumeric: Bool {
    if isASCII { return value >= 0x30 && value <= 0x39 }
    return switch properties.generalCategory {
    case .decimalNumber, .letterNumber, .otherNumber: true
    default: false
    }
  }

  /// `\w` of Unicode's regular expressions, as of Unicode 16.
  var isWord: Bool {
    if isASCII { return self == "_" || ScalarClass(self) == .letter || ScalarClass(self) == .number }
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
    var at = start + 1
    while at < start + length {
      value = value << 6 | UInt32(self[at]) & 0x3F
      at += 1
    }
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
