extension JSON {
  /// Parses one document, which must fill `bytes` (surrounding white space aside).
  ///
  /// Strict: duplicate keys, invalid UTF-8, numbers JSON does not know and nesting beyond `maximumDepth` are errors.
  /// Integers outside `Int` become doubles.
  public init(parsing bytes: some Collection<UInt8>, maximumDepth: Int = 128) throws(JSONError) {
    var reader = JSONReader(bytes: Array(bytes), maximumDepth: maximumDepth)
    self = try reader.document()
  }

  public init(parsing text: String) throws(JSONError) {
    try self.init(parsing: Array(text.utf8))
  }
}

private struct JSONReader {
  let bytes: [UInt8]
  let maximumDepth: Int
  var at = 0
  var depth = 0

  init(bytes: [UInt8], maximumDepth: Int) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
  }

  func fail(_ message: String, at offset: Int? = nil) -> JSONError {
    let place = min(offset ?? at, bytes.count)
    var line = 1
    var lineStart = 0
    for i in 0..<place where bytes[i] == UInt8(ascii: "\n") {
      line += 1
      lineStart = i + 1
    }
    return JSONError(message: message, offset: place, line: line, column: place - lineStart + 1)
  }

  mutating func document() throws(JSONError) -> JSON {
    let value = try value()
    skipSpace()
    guard at == bytes.count else { throw fail("unexpected text after the document") }
    return value
  }

  mutating func skipSpace() {
    while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
  }

  mutating func expect(_ character: Character) throws(JSONError) {
    guard at < bytes.count, bytes[at] == character.asciiValue else {
      throw fail(at < bytes.count ? "expected '\(character)'" : "the document ends where '\(character)' is expected")
    }
    at += 1
  }

  mutating func value() throws(JSONError) -> JSON {
    skipSpace()
    guard at < bytes.count else { throw fail("the document ends where a value is expected") }
    switch bytes[at] {
    case UInt8(ascii: "{"): return try nested { (reader) throws(JSONError) in try reader.object() }
    case UInt8(ascii: "["): return try nested { (reader) throws(JSONError) in try reader.array() }
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw fail("expected a value")
    }
  }

  mutating func nested(_ body: (inout JSONReader) throws(JSONError) -> JSON) throws(JSONError) -> JSON {
    depth += 1
    guard depth <= maximumDepth else { throw fail("nested deeper than \(maximumDepth) levels") }
    let value = try body(&self)
    depth -= 1
    return value
  }

  mutating func word(_ text: String, _ value: JSON) throws(JSONError) -> JSON {
    let end = at + text.utf8.count
    guard end <= bytes.count, bytes[at..<end].elementsEqual(text.utf8) else { throw fail("expected '\(text)'") }
    at = end
    return value
  }

  mutating func object() throws(JSONError) -> JSON {
    try expect("{")
    var members: [JSON.Member] = []
    // By bytes: strings that Unicode calls equal are different keys, and vocabularies hold both.
    var seen: Set<[UInt8]> = []
    skipSpace()
    if at < bytes.count, bytes[at] == UInt8(ascii: "}") {
      at += 1
      return .object(members)
    }
    while true {
      skipSpace()
      let start = at
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw fail("expected a key in quotes") }
      let key = try string()
      guard seen.insert(Array(key.utf8)).inserted else { throw fail("duplicate key \"\(key)\"", at: start) }
      skipSpace()
      try expect(":")
      members.append(.init(key, try value()))
      skipSpace()
      if at < bytes.count, bytes[at] == UInt8(ascii: ",") {
        at += 1
        continue
      }
      try expect("}")
      return .object(members)
    }
  }

  mutating func array() throws(JSONError) -> JSON {
    try expect("[")
    var items: [JSON] = []
    skipSpace()
    if at < bytes.count, bytes[at] == UInt8(ascii: "]") {
      at += 1
      return .array(items)
    }
    while true {
      items.append(try value())
      skipSpace()
      if at < bytes.count, bytes[at] == UInt8(ascii: ",") {
        at += 1
        continue
      }
      try expect("]")
      return .array(items)
    }
  }

  mutating func number() throws(JSONError) -> JSON {
    let start = at
    var isInteger = true
    func digit(_ i: Int) -> Bool { i < bytes.count && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[i]) }
    if bytes[at] == UInt8(ascii: "-") { at += 1 }
    guard digit(at) else { throw fail("expected a digit") }
    if bytes[at] == UInt8(ascii: "0") {
      at += 1
      if digit(at) { throw fail("a number may not start with 0", at: start) }
    } else {
      while digit(at) { at += 1 }
    }
    if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
      isInteger = false
      at += 1
      guard digit(at) else { throw fail("expected a digit after the point") }
      while digit(at) { at += 1 }
    }
    if at < bytes.count, bytes[at] == UInt8(ascii: "e") || bytes[at] == UInt8(ascii: "E") {
      isInteger = false
      at += 1
      if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
      guard digit(at) else { throw fail("expected a digit in the exponent") }
      while digit(at) { at += 1 }
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isInteger, let value = Int(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else { throw fail("number out of range", at: start) }
    return .double(value)
  }

  mutating func string() throws(JSONError) -> String {
    let open = at
    at += 1
    var content: [UInt8] = []
    var runStart = at
    while true {
      guard at < bytes.count else { throw fail("a string is not closed", at: open) }
      switch bytes[at] {
      case UInt8(ascii: "\""):
        content.append(contentsOf: bytes[runStart..<at])
        at += 1
        guard let text = String(validating: content, as: UTF8.self) else { throw fail("a string is not UTF-8", at: open) }
        return text
      case UInt8(ascii: "\\"):
        content.append(contentsOf: bytes[runStart..<at])
        content.append(contentsOf: String(try escape()).utf8)
        runStart = at
      case 0..<0x20: throw fail("control character in a string")
      default: at += 1
      }
    }
  }

  /// Reads an escape sequence; a lone surrogate half becomes U+FFFD.
  mutating func escape() throws(JSONError) -> Unicode.Scalar {
    at += 1
    guard at < bytes.count else { throw fail("a string is not closed") }
    let kind = bytes[at]
    at += 1
    switch kind {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let unit = try hex4()
      guard (0xD800..<0xDC00).contains(unit), at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"),
        bytes[at + 1] == UInt8(ascii: "u")
      else { return Unicode.Scalar(unit) ?? "\u{FFFD}" }
      let back = at
      at += 2
      let low = try hex4()
      guard (0xDC00..<0xE000).contains(low) else {
        at = back
        return "\u{FFFD}"
      }
      return Unicode.Scalar(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)) ?? "\u{FFFD}"
    default: throw fail("unknown escape", at: at - 2)
    }
  }

  mutating func hex4() throws(JSONError) -> UInt32 {
    // The standard library also takes signs.
    guard at + 4 <= bytes.count, !bytes[at..<at + 4].contains(where: { "+-".utf8.contains($0) }),
      let value = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
    else { throw fail("expected four hexadecimal digits") }
    at += 4
    return value
  }
}
