/// Escapes, and classes in brackets.
extension ExpressionParser {
  /// What follows a backslash outside brackets.
  mutating func escape() throws(ExpressionError) -> ExpressionNode {
    switch next {
    case "b": return .assertion(taken(.wordBoundary))
    case "B": return .assertion(taken(.noWordBoundary))
    case "A": return .assertion(taken(.textStart))
    case "z": return .assertion(taken(.textEnd))
    case "Z": return .assertion(taken(.textEndOrLastBreak))
    case "R":
      at += 1
      return .atomic(.choice([.sequence([.scalar(.one(0x0D)), .scalar(.one(0x0A))]), .scalar(.lineBreaks)]))
    case "w": return .scalar(.property(taken(.bareWord)))
    case "W": return .scalar(.not(.property(taken(.bareWord))))
    default: return .scalar(try escapedTest())
    }
  }

  private mutating func taken<Meaning>(_ meaning: Meaning) -> Meaning {
    at += 1
    return meaning
  }

  private mutating func escapedTest() throws(ExpressionError) -> ScalarTest {
    if let test = try escapedClass() { return test }
    return try literal(try escapedScalar())
  }

  /// `\d`, `\P{L}` and the like, `nil` where the escape is for one scalar.
  private mutating func escapedClass() throws(ExpressionError) -> ScalarTest? {
    let test: ScalarTest
    switch next {
    case "d": test = .decimalDigits
    case "D": test = .not(.decimalDigits)
    case "w": test = .property(.word)
    case "W": test = .not(.property(.word))
    case "s": test = .property(.whitespace)
    case "S": test = .not(.property(.whitespace))
    case "h": test = .hexDigits
    case "H": test = .not(.hexDigits)
    case "p", "P": return try property()
    default: return nil
    }
    at += 1
    return test
  }

  private mutating func property() throws(ExpressionError) -> ScalarTest {
    let isNegated = try take() == "P"
    guard takes("{") else { throw ExpressionError("\\p without braces") }
    let isInverted = takes("^")
    var name = ""
    while let next, next != "}" {
      name.unicodeScalars.append(next)
      at += 1
    }
    _ = try take()
    guard let test = named(name) else { throw ExpressionError("\\p{\(name)}") }
    if isCaseless, ["lu", "ll", "lt", "upper", "lower"].contains(name.lowercased()) {
      throw ExpressionError("\\p{\(name)} without regard to case")
    }
    return isNegated != isInverted ? .not(test) : test
  }

  private func named(_ name: String) -> ScalarTest? {
    switch name.lowercased() {
    case "any": .any
    case "alphabetic": .property(.alphabetic)
    case "white_space": .property(.whitespace)
    // Not what brackets make of it.
    case "punct": ScalarTest.category(named: "P")
    case let short: ScalarTest.category(named: name) ?? ScalarTest.bracketed(short)
    }
  }

  /// The one scalar that an escape stands for.
  private mutating func escapedScalar() throws(ExpressionError) -> Unicode.Scalar {
    switch try take() {
    case "t": return "\t"
    case "n": return "\n"
    case "r": return "\r"
    case "f": return "\u{C}"
    case "v": return "\u{B}"
    case "a": return "\u{7}"
    case "e": return "\u{1B}"
    case "x":
      guard takes("{") else { return try hexadecimal(atMost: 2) }
      let scalar = try hexadecimal(atMost: 8)
      guard takes("}") else { throw ExpressionError("\\x{ that is not closed") }
      return scalar
    case "u": return try hexadecimal(atMost: 4)
    case let scalar where scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)):
      throw ExpressionError("the escape \\\(scalar)")
    case let scalar: return scalar
    }
  }

  private mutating func hexadecimal(atMost count: Int) throws(ExpressionError) -> Unicode.Scalar {
    var (value, read) = (UInt32(0), 0)
    while read < count, let next, next.isASCII, let digit = Character(next).hexDigitValue {
      value = value << 4 | UInt32(digit)
      (at, read) = (at + 1, read + 1)
    }
    guard read > 0, count != 2 || value < 0x80, let scalar = Unicode.Scalar(value) else {
      throw ExpressionError("an escape for no character")
    }
    return scalar
  }

  /// What follows an opening bracket, up to the one that closes it; classes may stand in classes.
  mutating func bracketClass(depth: Int = 0) throws(ExpressionError) -> ScalarTest {
    guard depth < 20 else { throw ExpressionError("classes nested more than 20 deep") }
    let isNegated = takes("^")
    var sides: [ScalarTest] = []
    var tests: [ScalarTest] = []
    var ranges: [ClosedRange<UInt32>] = []
    var isFirst = true
    while true {
      if takes("&&") {
        sides.append(side(tests, ranges))
        (tests, ranges) = ([], [])
      } else if takes("[:") {
        tests.append(try bracketName())
      } else if takes("[") {
        tests.append(try bracketClass(depth: depth + 1))
      } else if next == "]", !isFirst {
        at += 1
        sides.append(side(tests, ranges))
        let test = sides.count == 1 ? sides[0] : .allOf(sides)
        return isNegated ? .not(test) : test
      } else if let test = try member(into: &ranges) {
        tests.append(test)
      }
      isFirst = false
    }
  }

  private mutating func bracketName() throws(ExpressionError) -> ScalarTest {
    let isNegated = takes("^")
    var name = ""
    while let next, next != ":", name.utf8.count < 20 {
      name.unicodeScalars.append(next)
      at += 1
    }
    guard takes(":]"), let test = ScalarTest.bracketed(name) else { throw ExpressionError("[:\(name):]") }
    if isCaseless, name == "upper" || name == "lower" { throw ExpressionError("[:\(name):] without regard to case") }
    return isNegated ? .not(test) : test
  }

  private func side(_ tests: [ScalarTest], _ ranges: [ClosedRange<UInt32>]) -> ScalarTest {
    var tests = tests
    if !ranges.isEmpty {
      let test = ScalarTest.ranges(Self.merged(ranges))
      tests.append(isCaseless ? .caseless(test) : test)
    }
    return tests.count == 1 ? tests[0] : .anyOf(tests)
  }

  private static func merged(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
    var merged: [ClosedRange<UInt32>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = merged.last, range.lowerBound <= last.upperBound {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    return merged
  }

  /// A scalar or a range, put to the ranges, or a class.
  private mutating func member(into ranges: inout [ClosedRange<UInt32>]) throws(ExpressionError) -> ScalarTest? {
    let first = try take()
    var low = first
    if first == "\\" {
      if let test = try escapedClass() { return test }
      low = try classScalar()
    }
    // A hyphen before the closing bracket is one of the members.
    guard next == "-", at + 1 < scalars.count, scalars[at + 1] != "]", scalars[at + 1] != "[" else {
      ranges.append(low.value...low.value)
      return nil
    }
    at += 1
    var high = try take()
    if high == "\\" {
      if try escapedClass() != nil { throw ExpressionError("a range that ends in a class") }
      high = try classScalar()
    }
    guard low <= high else { throw ExpressionError("a range whose end is before its start") }
    ranges.append(low.value...high.value)
    return nil
  }

  /// As outside brackets, but that `\b` is a backspace.
  private mutating func classScalar() throws(ExpressionError) -> Unicode.Scalar {
    takes("b") ? "\u{8}" : try escapedScalar()
  }
}
