import JSON
import Testing

@testable import Tokenization

/// What the library makes of expressions stands in `components.jsonl`; here is what it takes no text to say.
@Suite struct ExpressionTests {
  private func matches(_ pattern: String, _ text: String) throws -> [String] {
    let expression = try Expression(pattern, Field(path: "", value: nil))
    let bytes = Array(text.utf8)
    var found: [String] = []
    expression.forEachMatch(in: bytes, 0..<bytes.count) { found.append(String(decoding: bytes[$0], as: UTF8.self)) }
    return found
  }

  @Test func firstWayFirst() throws {
    #expect(try matches("a|ab", "abab") == ["a", "a"])
    #expect(try matches("(a|ab)(c|bcd)", "abcd") == ["abcd"])
    #expect(try matches("a+?", "aaa") == ["a", "a", "a"])
    #expect(try matches("a{2,3}", "aaaaa") == ["aaa", "aa"])
    #expect(try matches("(?:ab?)*+b", "abab") == ["b", "b"])
    #expect(try matches("x*", "axb") == ["", "x", ""])
  }

  @Test func looks() throws {
    #expect(try matches("(?<=a|bc)x", "ax bcx cx") == ["x", "x"])
    #expect(try matches("a(?!b)", "ab ac") == ["a"])
    #expect(try matches("^a", "a\na ba") == ["a", "a"])
    #expect(try matches("a$", "a\na ab") == ["a"])
  }

  /// What makes other engines go on for ages.
  @Test(arguments: [
    "(x+x+)+y", "(a|aa)+$b", "x*y|x", "(?>x*)y|x", "x*+y|x", "(?=.*y)x|x", "(?=x*)x", "(?!x*y)x", "(?:x?){50}y|x", "(x*)*y|x",
    "(?<=x)x*y|x", "(?=x{2,}y)x|x+$b", "(?>x{2,})y|x",
  ])
  func takesLinearTime(_ pattern: String) throws {
    let expression = try Expression(pattern, Field(path: "", value: nil))
    let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 8_000)
    var count = 0
    let seconds = processorSeconds { expression.forEachMatch(in: bytes, 0..<bytes.count) { _ in count += 1 } }
    #expect(count <= bytes.count + 1)
    // Quadratic, these would take many times as long.
    #expect(seconds < 4)
  }

  @Test func literals() {
    func found(_ text: String, _ pattern: String) -> [Int] {
      var found: [Int] = []
      let bytes = Array(text.utf8)
      Literal(Array(pattern.utf8)).forEachMatch(in: bytes, 0..<bytes.count) { found.append($0.lowerBound) }
      return found
    }
    #expect(found("aaaaa", "aa") == [0, 2])
    #expect(found("ababac", "abac") == [2])
    #expect(found("aabaabaaab", "aabaaab") == [3])
    #expect(found("", "a") == [])
  }
}
