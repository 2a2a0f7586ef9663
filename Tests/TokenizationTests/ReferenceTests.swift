import Testing

@testable import Tokenization

/// Line by line against the reference library.
@Suite struct ReferenceTests {
  @Test(arguments: Fixture.allCases) func encodes(_ fixture: Fixture) throws {
    let tokenizer = try fixture.tokenizer()
    for (number, line) in try fixture.lines().enumerated() {
      let ids = tokenizer.encode(line.text)
      #expect(ids == line.ids, "line \(number + 1): \(quoted(line.text))")
      #expect(tokenizer.encode(line.text, addSpecialTokens: false) == line.bare, "line \(number + 1)")
    }
  }

  @Test(arguments: Fixture.allCases) func decodes(_ fixture: Fixture) throws {
    let tokenizer = try fixture.tokenizer()
    for (number, line) in try fixture.lines().enumerated() {
      #expect(same(tokenizer.decode(line.ids), line.decoded), "line \(number + 1): \(quoted(line.text))")
      #expect(same(tokenizer.decode(line.ids, skipSpecialTokens: false), line.whole), "line \(number + 1)")
    }
  }

  @Test(arguments: Fixture.allCases) func streams(_ fixture: Fixture) throws {
    let tokenizer = try fixture.tokenizer()
    for (number, line) in try fixture.lines().enumerated() {
      var stream = tokenizer.streamingDecoder()
      var pieces = line.ids.map { stream.append($0) }
      pieces.append(stream.finish())
      #expect(same(pieces.joined(), line.decoded), "line \(number + 1): \(quoted(line.text))")
      // The lines hold U+FFFD of their own, but a text without any must not show one on the way.
      if !line.decoded.unicodeScalars.contains("\u{FFFD}") {
        #expect(!pieces.contains { $0.unicodeScalars.contains("\u{FFFD}") }, "line \(number + 1)")
      }
    }
  }

  /// Byte-level tokens lose nothing: only the normalizer and the prefix space change a text.
  @Test func roundTrips() throws {
    let tokenizer = try Fixture.scripture.tokenizer()
    for line in try Fixture.scripture.lines() {
      let ids = tokenizer.encode(line.text)
      #expect(same(tokenizer.decode(ids, skipSpecialTokens: false), line.text))
    }
  }

  @Test func knowsItsTokens() throws {
    let tokenizer = try Fixture.scripture.tokenizer()
    #expect(tokenizer.vocabularySize == 2048)
    #expect(tokenizer.id(of: "<|endoftext|>") == 0)
    #expect(tokenizer.isSpecial(0) && !tokenizer.isSpecial(1))
    #expect(tokenizer.addedTokens.map(\.content) == ["<|endoftext|>"])
    let lord = try #require(tokenizer.id(of: "ĠLORD"))
    #expect(tokenizer.token(of: lord) == "ĠLORD")
    #expect(tokenizer.decode([lord]) == " LORD")
    #expect(tokenizer.id(of: "no such token") == nil)
  }

  @Test func passesOverUnknownIDs() throws {
    let tokenizer = try Fixture.scripture.tokenizer()
    let a = try #require(tokenizer.id(of: "a"))
    #expect(tokenizer.decode([a, -1, .max, .min, 2048, 1 << 32, a]) == "aa")
    #expect(tokenizer.token(of: -1) == nil)
    var stream = tokenizer.streamingDecoder()
    #expect(stream.append(.max) == "")
    #expect(stream.append(a) == "a")
  }
}
