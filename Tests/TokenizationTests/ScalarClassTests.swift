import JSON
import Testing

@testable import Tokenization

/// All scalars against what the reference library's regular expressions take them for.
@Suite struct ScalarClassTests {
  private static let document = Result { try JSON(parsing: Fixture.bytes("scalars.json")) }
  /// All scalars of the planes that have any characters, and every 61st of the others: those are nothing, or private.
  private static let scalars: [Unicode.Scalar] = {
    var values = Array(0..<0x34000 as Range<UInt32>)
    values += 0xE0000..<0xE0200
    values += stride(from: 0x34000, to: 0x110000, by: 61)
    return values.compactMap(Unicode.Scalar.init)
  }()

  private func expect(_ name: String, _ contains: (Unicode.Scalar) -> Bool) throws {
    let ranges = try #require(try Self.document.get()[name]?.array)
    var expected = [Bool](repeating: false, count: 0x110000)
    for range in ranges {
      let ends = try #require(range.array).compactMap(\.int)
      for value in ends[0]...ends[1] { expected[value] = true }
    }
    let wrong = Self.scalars.filter { contains($0) != expected[Int($0.value)] }
    #expect(wrong.isEmpty, "\(wrong.count), first \(wrong.prefix(40).map { String($0.value, radix: 16) })")
  }

  @Test func letters() throws { try expect("letter") { ScalarClass($0) == .letter } }
  @Test func numbers() throws { try expect("number") { ScalarClass($0) == .number } }
  @Test func spaces() throws { try expect("space") { ScalarClass($0).isSpace } }
  @Test func numerics() throws { try expect("numeric") { $0.isNumeric } }
  @Test func words() throws { try expect("word") { $0.isWord } }

  /// What general expressions take for a class.
  @Test(arguments: ["Lu", "Ll", "Lt", "Lm", "Lo", "M", "P", "S", "Z", "Cc", "Cf"]) func categories(_ name: String) throws {
    let test = try #require(ScalarTest.category(named: name))
    try expect(name) { test.contains($0) }
  }

  @Test func patternWords() throws { try expect("patternWord") { ScalarTest.property(.bareWord).contains($0) } }
  @Test func digits() throws { try expect("digit") { ScalarTest.decimalDigits.contains($0) } }

  @Test func utf8() {
    let text = "a\u{80}\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}"
    let bytes = Array(text.utf8)
    var at = 0
    for scalar in text.unicodeScalars {
      let found = bytes.scalar(at: at)
      #expect(found.value == scalar)
      #expect(bytes.scalar(endingAt: found.end) == (scalar, at))
      at = found.end
    }
    #expect(at == bytes.count)
  }
}
