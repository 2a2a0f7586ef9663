import JSON
import Testing

@testable import Tokenization

@Suite struct WordMemoryTests {
  /// Every byte a token of its own.
  private struct Bytes: Model {
    let vocabulary = Vocabulary()

    func encode(_ word: Range<Int>, of bytes: [UInt8], into ids: inout [Int]) { for at in word { ids.append(Int(bytes[at])) } }

    func lengths(of ids: ArraySlice<Int>, in word: ArraySlice<UInt8>) -> [Int] { ids.map { _ in 1 } }
  }

  /// More words than are kept, each met again at once and some much later, and one too long to be kept.
  @Test func givesWhatTheModelGives() {
    var cache = WordCache()
    var words = (0..<40_000).map { Array(String($0 % 36_000).utf8) }
    words.append(Array(repeating: 7, count: 1000))
    var wrong = 0
    for word in words {
      var ids: [Int] = []
      let bytes = [0] + word
      for _ in 0..<2 { cache.append(1..<bytes.count, of: bytes, to: &ids, from: Bytes()) }
      if ids != (word + word).map(Int.init) { wrong += 1 }
    }
    #expect(wrong == 0)
  }

  /// Many at once get what one after another gets.
  @Test func servesManyAtOnce() async throws {
    let tokenizer = try Fixture.mistral.tokenizer()
    let texts = try Fixture.texts().prefix(120)
    let expected = texts.map { tokenizer.encode($0) }
    await withTaskGroup(of: [[Int]].self) { group in
      for _ in 0..<4 { group.addTask { texts.map { tokenizer.encode($0) } } }
      for await found in group { #expect(found == expected) }
    }
  }
}

@Suite struct IntegerTableTests {
  @Test func agreesWithADictionary() {
    var table = IntegerTable(capacity: 3)
    var expected: [UInt64: UInt64] = [:]
    var generator = SystemRandomNumberGenerator()
    for i in 0..<4_000 as Range<UInt64> {
      // Near each other, far apart, and both halves.
      let key: UInt64 =
        switch i % 4 {
        case 0: i % 500
        case 1: i % 300 << 32
        case 2: generator.next() >> 20
        default: .max - i % 100
        }
      table[key] = i
      expected[key] = i
    }
    for (key, value) in expected { #expect(table[key] == value) }
    #expect(table[1 << 63] == IntegerTable.none)
    #expect(IntegerTable()[0] == IntegerTable.none)
  }
}
