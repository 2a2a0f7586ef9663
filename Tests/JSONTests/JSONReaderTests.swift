import JSON
import Testing

@Suite struct JSONReaderTests {
  @Test func readsEveryKindOfValue() throws {
    let value = try JSON(parsing: #" {"a": [1, -2.5, 1e3, true, false, null], "b": {}, "c": "x"} "#)
    #expect(value["a"] == [1, -2.5, .double(1000), true, false, nil])
    #expect(value["b"] == .object([]))
    #expect(value["c"]?.string == "x")
    #expect(value["d"] == nil)
    #expect(value.members?.map(\.key) == ["a", "b", "c"])
  }

  @Test(arguments: [
    ("0", JSON.int(0)), ("-7", .int(-7)), ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
    ("9223372036854775808", .double(9_223_372_036_854_775_808)), ("1.0", .double(1)), ("5e-324", .double(.leastNonzeroMagnitude)),
    ("1E+2", .double(100)),
  ])
  func readsNumbers(_ text: String, _ expected: JSON) throws {
    #expect(try JSON(parsing: text) == expected)
  }

  @Test func integersOfDoublesAreExactOnly() throws {
    #expect(try JSON(parsing: "1e3").int == 1000)
    #expect(try JSON(parsing: "1.5").int == nil)
    #expect(try JSON(parsing: "1e30").int == nil)
  }

  @Test(arguments: [
    (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9""#, "é"), (#""\ud83d\ude00""#, "😀"),
    (#""\ud83d""#, "\u{FFFD}"), (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""\ude00x""#, "\u{FFFD}x"), (#""\u0000""#, "\0"),
    ("\"é😀\"", "é😀"),
  ])
  func readsEscapes(_ text: String, _ expected: String) throws {
    #expect(try JSON(parsing: text).string == expected)
  }

  @Test func keysDifferByBytes() throws {
    // One letter with its accent, and letter plus accent: equal for Unicode, two entries of a vocabulary.
    let value = try JSON(parsing: "{\"\u{E9}\": 1, \"e\u{301}\": 2}")
    #expect(value.members?.count == 2)
  }

  @Test(arguments: [
    (#"{"a": 1, "a": 2}"#, #"1:10: duplicate key "a""#),
    ("{\"a\": 1,\n \"\\u0061\": 2}", #"2:2: duplicate key "a""#),
    ("", "1:1: the document ends where a value is expected"),
    ("  ", "1:3: the document ends where a value is expected"),
    ("1 2", "1:3: unexpected text after the document"),
    ("[1", "1:3: the document ends where ']' is expected"),
    ("[1,]", "1:4: expected a value"),
    ("{\"a\" 1}", "1:6: expected ':'"),
    ("{a: 1}", "1:2: expected a key in quotes"),
    ("{\"a\": 1,}", "1:9: expected a key in quotes"),
    ("01", "1:1: a number may not start with 0"),
    ("-", "1:2: expected a digit"), ("1.", "1:3: expected a digit after the point"),
    ("1e", "1:3: expected a digit in the exponent"), ("1e999", "1:1: number out of range"),
    ("+1", "1:1: expected a value"), (".5", "1:1: expected a value"), ("NaN", "1:1: expected a value"),
    ("nul", "1:1: expected 'null'"), ("truth", "1:1: expected 'true'"),
    ("\"a", "1:1: a string is not closed"), ("\"\\", "1:3: a string is not closed"),
    ("\"\\x\"", "1:2: unknown escape"), ("\"\\u12\"", "1:4: expected four hexadecimal digits"),
    ("\"\\u-001\"", "1:4: expected four hexadecimal digits"), ("\"\\u+001\"", "1:4: expected four hexadecimal digits"),
    ("\"a\nb\"", "1:3: control character in a string"),
  ])
  func refuses(_ text: String, _ message: String) {
    let error = #expect(throws: JSONError.self) { try JSON(parsing: text) }
    #expect(error?.description == message)
  }

  @Test func refusesTextThatIsNotUTF8() {
    let error = #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0xFF, 0x22]) }
    #expect(error?.description == "1:1: a string is not UTF-8")
  }

  @Test func boundsDepth() throws {
    let deep = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
    #expect(throws: Never.self) { try JSON(parsing: deep) }
    let error = #expect(throws: JSONError.self) { try JSON(parsing: String(repeating: "[", count: 1_000_000)) }
    #expect(error?.description == "1:129: nested deeper than 128 levels")
  }

  @Test func everyPrefixOfADocumentIsRefused() {
    let text = Array(#"{"a": [1.5e3, "\u0041b", true], "c": null}"#.utf8)
    for count in 0..<text.count {
      #expect(throws: JSONError.self) { try JSON(parsing: text.prefix(count)) }
    }
  }
}
