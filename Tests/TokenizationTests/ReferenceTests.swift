import Testing

@testable import Tokenization

/// Line by line against the reference library.
@Suite struct ReferenceTests {
  /// The ids with special tokens and without, what they decode to, and what they decode to one by one.
  @Test(arguments: Fixture.allCases) func encodesAndDecodes(_ fixture: Fixture) throws {
    try Self.encodesAndDecodes(fixture.tokenizer(), fixture.rows())
  }

  static func encodesAndDecodes(_ tokenizer: Tokenizer, _ rows: [Fixture.Row]) throws {
    let texts = try Fixture.texts()
    try #require(texts.count == rows.count)
    for (i, text) in texts.enumerated() {
      let (ids, bare) = (tokenizer.encode(text), tokenizer.encode(text, addSpecialTokens: false))
      if digest("\(listed(ids))|\(listed(bare))".utf8) != rows[i].ids {
        Issue.record("line \(i + 1): \(quoted(text)): \(ids)")
      }
      let decoded = [true, false].map { tokenizer.decode(ids, skipSpecialTokens: $0) }
      if digest(decoded.joined(separator: "\0").utf8) != rows[i].decoded {
        Issue.record("line \(i + 1): \(quoted(text)): \(quoted(decoded[0])), \(quoted(decoded[1]))")
      }
      var stream = tokenizer.streamingDecoder()
      var pieces = ids.map { stream.append($0) }
      pieces.append(stream.finish())
      if !same(pieces.joined(), decoded[0]) { Issue.record("line \(i + 1): \(quoted(text)): \(pieces)") }
      // The lines hold U+FFFD of their own, but a text without any must not show one on the way.
      if !decoded[0].unicodeScalars.contains("\u{FFFD}"), pieces.contains(where: { $0.unicodeScalars.contains("\u{FFFD}") }) {
        Issue.record("line \(i + 1): \(pieces)")
      }
    }
  }

  /// Two texts, cut and padded in the ways that `make.py` goes through.
  @Test(arguments: Fixture.allCases) func pairs(_ fixture: Fixture) throws { try Self.pairs(fixture.tokenizer(), fixture.rows()) }

  static func pairs(_ tokenizer: Tokenizer, _ rows: [Fixture.Row]) throws {
    let texts = try Fixture.texts()
    let truncations: [Truncation?] = [nil, Truncation(maximumLength: 24), Truncation(maximumLength: 17, side: .left)]
    let paddings: [Padding?] = [
      nil, Padding(length: .fixed(32), id: 1), Padding(multiple: 8, side: .left, id: 0, typeID: 1),
    ]
    for (i, row) in rows.enumerated() {
      let encoding = try tokenizer.encoding(
        of: texts[i], pair: texts[(i + 1) % texts.count], addSpecialTokens: i % 2 == 0, truncation: truncations[i % 3],
        padding: paddings[i / 3 % 3])
      let lists = [encoding.ids, encoding.typeIDs, encoding.attentionMask, encoding.specialTokensMask].map(listed)
      if digest(lists.joined(separator: "|").utf8) != row.pair { Issue.record("line \(i + 1): \(lists)") }
    }
  }

  /// Byte-level tokens lose nothing: only the normalizer and the prefix space change a text.
  @Test func roundTrips() throws {
    let tokenizer = try Fixture.scripture.tokenizer()
    for text in try Fixture.texts() {
      let ids = tokenizer.encode(text)
      #expect(same(tokenizer.decode(ids, skipSpecialTokens: false), text))
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
