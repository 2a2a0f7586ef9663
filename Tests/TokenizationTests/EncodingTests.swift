import JSON
import Testing

@testable import Tokenization

@Suite struct EncodingTests {
  /// What an odd length to fill up, a text too short to cut and a missing template come to.
  @Test func cutsAndPads() throws {
    let tokenizer = try Fixture.bertUncased.tokenizer()
    let text = "the king of the land"
    let whole = try tokenizer.encoding(of: text)
    #expect(whole.ids == tokenizer.encode(text))
    #expect(whole.specialTokensMask == [1] + Array(repeating: 0, count: whole.ids.count - 2) + [1])
    let cut = try tokenizer.encoding(of: text, truncation: Truncation(maximumLength: 4))
    #expect(cut.ids == Array(whole.ids.prefix(3)) + [3])
    let left = try tokenizer.encoding(of: text, truncation: Truncation(maximumLength: 4, side: .left))
    #expect(left.ids == [2] + Array(whole.ids.suffix(3)))
    let none = try tokenizer.encoding(of: text, truncation: Truncation(maximumLength: 2))
    #expect(none.ids == [2, 3])
    #expect(throws: TokenizerError(path: "truncation", message: "1 leaves no room for the 2 tokens that are put around")) {
      try tokenizer.encoding(of: text, truncation: Truncation(maximumLength: 1))
    }
    #expect(throws: TokenizerError.self) {
      try tokenizer.encoding(of: text, truncation: Truncation(maximumLength: 4, strategy: .onlySecond))
    }
    #expect(throws: TokenizerError.self) {
      try tokenizer.encoding(of: text, pair: text, truncation: Truncation(maximumLength: 5, strategy: .onlyFirst))
    }
    #expect(throws: TokenizerError.self) { try tokenizer.encoding(of: text, padding: Padding(length: .fixed(.max), id: 0)) }
    #expect(throws: TokenizerError.self) { try tokenizer.encoding(of: text, padding: Padding(multiple: .max, id: 0)) }
  }

  @Test func cutsOneOfTwo() throws {
    let tokenizer = try Fixture.bertCased.tokenizer()
    let (one, other) = ("the king of the land", "in the beginning")
    let lengths = [one, other].map { tokenizer.encode($0, addSpecialTokens: false).count }
    let first = try tokenizer.encoding(
      of: one, pair: other, truncation: Truncation(maximumLength: lengths[1] + 5, strategy: .onlyFirst))
    #expect(first.typeIDs.count(where: { $0 == 0 }) == 4)
    #expect(first.typeIDs.count(where: { $0 == 1 }) == lengths[1] + 1)
    let second = try tokenizer.encoding(
      of: one, pair: other, truncation: Truncation(maximumLength: lengths[0] + 4, strategy: .onlySecond))
    #expect(second.typeIDs.count(where: { $0 == 1 }) == 2)
  }

  @Test func batches() throws {
    let tokenizer = try Fixture.bertUncased.tokenizer()
    let texts = ["the", "the king of the land", ""]
    let batch = try tokenizer.encodings(of: texts, padding: Padding(id: 0))
    let longest = tokenizer.encode(texts[1]).count
    #expect(batch.map(\.ids.count) == [longest, longest, longest])
    #expect(batch[2].attentionMask == [1, 1] + Array(repeating: 0, count: longest - 2))
    #expect(batch[0].ids.prefix(3) == tokenizer.encode("the")[...])
    #expect(throws: TokenizerError.self) { try tokenizer.encodings(of: texts, pairs: ["one"]) }
    #expect(try tokenizer.encodings(of: []).isEmpty)
  }

  @Test func documentsOwnWays() throws {
    let document: JSON = [
      "truncation": ["direction": "Left", "max_length": 3, "strategy": "OnlyFirst", "stride": 0],
      "padding": [
        "strategy": ["Fixed": 5], "direction": "Left", "pad_to_multiple_of": nil, "pad_id": 1, "pad_type_id": 2, "pad_token": "b",
      ],
      "model": ["type": "WordLevel", "vocab": ["a": 0, "b": 1, "c": 2], "unk_token": "b"],
      "pre_tokenizer": ["type": "Whitespace"],
    ]
    let tokenizer = try Tokenizer(json: document)
    #expect(tokenizer.truncation == Truncation(maximumLength: 3, strategy: .onlyFirst, side: .left))
    #expect(tokenizer.padding == Padding(length: .fixed(5), side: .left, id: 1, typeID: 2, token: "b"))
    #expect(tokenizer.encode("a c x a a") == [0, 2, 1, 0, 0])
    let encoding = try tokenizer.encoding(of: "a c x a a", truncation: tokenizer.truncation, padding: tokenizer.padding)
    #expect(encoding.ids == [1, 1, 1, 0, 0])
    #expect(encoding.typeIDs == [2, 2, 0, 0, 0])
    #expect(encoding.attentionMask == [0, 0, 1, 1, 1])
  }

  @Test func templateWithoutPairs() throws {
    let tokenizer = try Tokenizer(json: [
      "model": ["vocab": ["a": 0], "merges": []],
      "post_processor": [
        "type": "TemplateProcessing", "single": [["Sequence": ["id": "A", "type_id": 3]]], "special_tokens": [:],
      ],
    ])
    #expect(try tokenizer.encoding(of: "aa").typeIDs == [3, 3])
    #expect(
      throws: TokenizerError(
        path: "post_processor.pair", message: "there is none, and so no way to put two texts together")
    ) { try tokenizer.encoding(of: "a", pair: "a") }
  }
}

/// Ids of a text in parts are those of the text, and know their part.
@Suite struct PartsTests {
  /// Any cut of any line, in every family: the ids do not depend on it, and the parts go up in order.
  @Test(arguments: Fixture.allCases) func idsAreThoseOfTheText(_ fixture: Fixture) throws {
    let tokenizer = try fixture.tokenizer()
    for (i, text) in try Fixture.texts().enumerated() where i % 3 == 0 {
      let scalars = Array(text.unicodeScalars)
      let cuts = [0, scalars.count / 3, scalars.count / 2, scalars.count]
      let parts = zip(cuts, cuts.dropFirst()).map { String(String.UnicodeScalarView(scalars[$0..<$1])) }
      let encoding = tokenizer.encode(parts: parts)
      if encoding.ids != tokenizer.encode(text) { Issue.record("line \(i + 1)") }
      var last = 0
      for part in encoding.parts {
        guard let part else { continue }
        if part.lowerBound < last || part.upperBound >= parts.count { Issue.record("line \(i + 1): \(encoding.parts)") }
        last = part.lowerBound
      }
    }
  }

  /// Where each part is a text of its own to the tokenizer, its ids are the part's.
  @Test func chatTurns() throws {
    let tokenizer = try Fixture.qwen2.tokenizer()
    let parts = ["<|endoftext|>", "user says hello", "<|endoftext|>", "Café! 😀 answer", "<|endoftext|>"]
    let encoding = tokenizer.encode(parts: parts)
    for (i, part) in parts.enumerated() {
      let ids = zip(encoding.ids, encoding.parts).filter { $1 == i...i }.map(\.0)
      #expect(ids == tokenizer.encode(part), "\(part)")
    }
  }

  @Test func seams() throws {
    let tokenizer = try Tokenizer(json: [
      "model": [
        "type": "BPE", "vocab": ["a": 0, "b": 1, "ab": 2, "▁": 3, "▁a": 4, "<unk>": 5], "merges": ["a b", "▁ a"],
        "unk_token": "<unk>", "fuse_unk": true,
      ],
      "pre_tokenizer": ["type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true],
    ])
    let encoding = tokenizer.encode(parts: ["", "ba", "b", "xé", "z a", ""])
    #expect(encoding.ids == [3, 1, 2, 5, 4])
    #expect(encoding.parts == [1...1, 1...1, 1...2, 3...4, 4...4])
    #expect(tokenizer.encode(parts: []) == PartedEncoding(ids: [], parts: []))
  }

  @Test func rewrittenText() throws {
    let tokenizer = try Fixture.bertUncased.tokenizer()
    let parts = ["THE ", "KI", "NG ", "北", "京 ", "e\u{301}"]
    let encoding = tokenizer.encode(parts: parts)
    #expect(encoding.ids == tokenizer.encode(parts.joined()))
    #expect(encoding.parts.first == .some(nil) && encoding.parts.last == .some(nil))
    #expect(encoding.parts.contains(0...0) && encoding.parts.contains(3...3) && encoding.parts.contains(4...4))
    #expect(encoding.parts.dropLast().last == 5...5)
  }
}
