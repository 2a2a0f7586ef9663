/// A regular expression as it is read.
indirect enum ExpressionNode: Sendable {
  case empty
  case scalar(ScalarTest)
  case sequence([ExpressionNode])
  case choice([ExpressionNode])
  case repeated(ExpressionNode, atLeast: Int, atMost: Int?, Eagerness)
  case assertion(Assertion)
  case look(ExpressionNode, isBehind: Bool, isNegated: Bool)
  /// Once matched, its insides are not tried another way.
  case atomic(ExpressionNode)

  enum Eagerness: Sendable {
    case greedy
    case lazy
    case possessive
  }

  enum Assertion: Sendable {
    case lineStart
    case lineEnd
    case textStart
    case textEnd
    case textEndOrLastBreak
    case wordBoundary
    case noWordBoundary
  }

  /// How many scalars every match has, where all have as many.
  var width: Int? {
    switch self {
    case .empty, .assertion, .look: return 0
    case .scalar: return 1
    case .atomic(let node): return node.width
    case .sequence(let nodes):
      var sum = 0
      for node in nodes {
        guard let width = node.width else { return nil }
        sum += width
      }
      return sum
    case .choice(let nodes):
      guard let first = nodes.first?.width, nodes.allSatisfy({ $0.width == first }) else { return nil }
      return first
    case .repeated(let node, let least, let most, _):
      guard let width = node.width, least == most else { return nil }
      return width * least
    }
  }
}

/// Which scalars a place of an expression takes, as of Unicode 16: that is what the expressions of the `tokenizers`
/// library know.
indirect enum ScalarTest: Sendable {
  case any
  case one(UInt32)
  /// In order, apart from each other.
  case ranges([ClosedRange<UInt32>])
  /// One bit for each general category.
  case categories(UInt32)
  case property(Property)
  case not(ScalarTest)
  case anyOf([ScalarTest])
  case allOf([ScalarTest])
  /// Without regard to case.
  case caseless(ScalarTest)

  enum Property: Sendable {
    case alphabetic
    case uppercase
    case lowercase
    case whitespace
    case word
    /// Outside brackets, where Oniguruma's table of Latin-1 holds raised digits and fractions for word characters.
    case bareWord
  }

  func contains(_ scalar: Unicode.Scalar) -> Bool {
    switch self {
    case .any: return true
    case .one(let value): return scalar.value == value
    case .ranges(let ranges): return Self.contains(ranges, scalar.value)
    case .categories(let bits):
      // To the library a scalar that came later is unassigned.
      let isKnown = scalar.value < 0x80 || scalar.isAssigned(by: 16)
      // U+0295 is no lower-case letter any more: Unicode made it one without case.
      let category = !isKnown ? .unassigned : scalar.value == 0x295 ? .lowercaseLetter : scalar.properties.generalCategory
      return bits >> UInt32(category.number) & 1 == 1
    case .property(let property): return property.holds(for: scalar)
    case .not(let test): return !test.contains(scalar)
    case .anyOf(let tests): return tests.contains { $0.contains(scalar) }
    case .allOf(let tests): return tests.allSatisfy { $0.contains(scalar) }
    case .caseless(let test):
      if test.contains(scalar) { return true }
      let folded = scalar.folded
      return test.contains(folded) || test.contains(folded.onlyUppercase)
    }
  }

  private static func contains(_ ranges: [ClosedRange<UInt32>], _ value: UInt32) -> Bool {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < value { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].contains(value)
  }
}

extension ScalarTest.Property {
  func holds(for scalar: Unicode.Scalar) -> Bool {
    if self == .whitespace { return scalar.isWhiteSpace }
    guard scalar.isAssigned(by: 16) else { return false }
    let properties = scalar.properties
    switch self {
    case .alphabetic: return properties.isAlphabetic
    case .uppercase: return properties.isUppercase
    case .lowercase: return properties.isLowercase
    case .whitespace: return scalar.isWhiteSpace
    case .word, .bareWord:
      if self == .bareWord, [0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE].contains(scalar.value) { return true }
      switch properties.generalCategory {
      case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
      default: return properties.isAlphabetic
      }
    }
  }
}

extension Unicode.Scalar {
  /// What scalars that differ in case only have in common, as long as that is one scalar.
  var folded: Unicode.Scalar {
    // The dotless i is no i, though it has the same upper case.
    value == 0x131 ? self : onlyUppercase.onlyLowercase
  }

  fileprivate var onlyUppercase: Unicode.Scalar { Self.only(properties.uppercaseMapping) ?? self }

  private var onlyLowercase: Unicode.Scalar { Self.only(properties.lowercaseMapping) ?? self }

  private static func only(_ text: String) -> Unicode.Scalar? { text.unicodeScalars.count == 1 ? text.unicodeScalars.first : nil }
}

extension Unicode.GeneralCategory {
  /// In the order of `ScalarTest.categoryNames`.
  var number: Int {
    switch self {
    case .uppercaseLetter: 0
    case .lowercaseLetter: 1
    case .titlecaseLetter: 2
    case .modifierLetter: 3
    case .otherLetter: 4
    case .nonspacingMark: 5
    case .spacingMark: 6
    case .enclosingMark: 7
    case .decimalNumber: 8
    case .letterNumber: 9
    case .otherNumber: 10
    case .connectorPunctuation: 11
    case .dashPunctuation: 12
    case .openPunctuation: 13
    case .closePunctuation: 14
    case .initialPunctuation: 15
    case .finalPunctuation: 16
    case .otherPunctuation: 17
    case .mathSymbol: 18
    case .currencySymbol: 19
    case .modifierSymbol: 20
    case .otherSymbol: 21
    case .spaceSeparator: 22
    case .lineSeparator: 23
    case .paragraphSeparator: 24
    case .control: 25
    case .format: 26
    case .surrogate: 27
    case .privateUse: 28
    case .unassigned: 29
    @unknown default: 29
    }
  }
}

extension ScalarTest {
  private static let categoryNames = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc",
    "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
  ]

  private static let longNames = [
    "letter": "L", "mark": "M", "number": "N", "punctuation": "P", "symbol": "S", "separator": "Z", "other": "C",
    "uppercase_letter": "Lu", "lowercase_letter": "Ll", "titlecase_letter": "Lt", "modifier_letter": "Lm", "other_letter": "Lo",
    "decimal_number": "Nd", "punct": "P",
  ]

  /// The general category, or the group of them, of that name: `Lu`, `L`, `Letter`.
  static func category(named name: String) -> ScalarTest? {
    let name = longNames[name.lowercased()] ?? name
    var bits: UInt32 = 0
    for (number, category) in categoryNames.enumerated()
    where category.lowercased() == name.lowercased() || (name.count == 1 && category.hasPrefix(name.uppercased())) {
      bits |= 1 << UInt32(number)
    }
    return bits == 0 ? nil : .categories(bits)
  }

  static let lineBreaks = ScalarTest.ranges([0xA...0xD, 0x85...0x85, 0x2028...0x2029])
  static let hexDigits = ScalarTest.ranges([0x30...0x39, 0x41...0x46, 0x61...0x66])
  static let decimalDigits = ScalarTest.categories(1 << 8)

  /// What a class in brackets may name, as in `[[:alpha:]]`.
  static func bracketed(_ name: String) -> ScalarTest? {
    switch name {
    case "alpha": .property(.alphabetic)
    case "upper": .property(.uppercase)
    case "lower": .property(.lowercase)
    case "space": .property(.whitespace)
    case "word": .property(.word)
    case "digit": decimalDigits
    case "alnum": .anyOf([.property(.alphabetic), decimalDigits])
    case "xdigit": hexDigits
    case "cntrl": .categories(1 << 25)
    // The symbols too, by Oniguruma.
    case "punct": .categories(((1 << 22) - 1) & ~((1 << 11) - 1))
    default: nil
    }
  }
}
