import JSON
import Testing

@testable import Tokenization

/// Long texts and files made to hurt: nothing traps, nothing takes time beyond length times a constant.
@Suite struct HostileTests {
  /// Quadratic, what follows would take many times as long.
  private static let limit = 4.0

  /// One long line, in every family.
  @Test(arguments: Fixture.allCases, ["a", "the king ", "\u{1F600}", "a\u{301}", " ", "\u{4E2D}", "<|endoftext"])
  func longLines(_ fixture: Fixture, _ part: String) throws {
    let tokenizer = try fixture.tokenizer()
    let text = String(repeating: part, count: 8_000 / part.utf8.count)
    var ids: [Int] = []
    #expect(processorSeconds { ids = tokenizer.encode(text) } < Self.limit)
    #expect(!ids.isEmpty)
    #expect(processorSeconds { _ = tokenizer.decode(ids) } < Self.limit)
  }

  @Test func longWordsAndPieces() throws {
    // Pieces that begin like the text and do not go on like it.
    let long = String(repeating: "a", count: 999)
    let tokenizer = try Tokenizer(json: [
      "model": [
        "type": "WordPiece", "vocab": .object([.init("[UNK]", 0), .init("a", 1), .init(long + "b", 2)]),
        "unk_token": "[UNK]", "continuing_subword_prefix": "", "max_input_chars_per_word": 1_000_000,
      ]
    ])
    #expect(processorSeconds { _ = tokenizer.encode(String(repeating: "a", count: 2_000)) } < Self.limit)
    let document: JSON = [
      "model": ["vocab": ["a": 0], "merges": []], "added_tokens": [["id": 1, "content": .string(long + "b")]],
    ]
    let added = try Tokenizer(json: document)
    #expect(processorSeconds { _ = added.encode(String(repeating: "a", count: 2_000)) } < Self.limit)
  }

  /// Deep nesting of sequences is read, or refused by the reader; it does not overflow the stack.
  @Test func nesting() {
    var normalizer: JSON = ["type": "NFC"]
    var decoder: JSON = ["type": "Fuse"]
    for _ in 0..<200 {
      normalizer = ["type": "Sequence", "normalizers": [normalizer, normalizer.members == nil ? nil : ["type": "NFC"]]]
      decoder = ["type": "Sequence", "decoders": [decoder]]
    }
    for (key, value) in [("normalizer", normalizer), ("decoder", decoder)] {
      let document: JSON = .object([.init(key, value), .init("model", ["vocab": ["a": 0], "merges": []])])
      _ = try? Tokenizer(json: document)
    }
  }

  /// Odd vocabularies: empty, with gaps, with tokens of no character.
  @Test func vocabularies() throws {
    let empty = try Tokenizer(json: ["model": ["vocab": [:], "merges": []]])
    #expect(empty.encode("abc") == [] && empty.vocabularySize == 0 && empty.decode([0, 1]) == "")
    let gaps = try Tokenizer(json: [
      "model": ["vocab": ["": 7, "a": 2_147_483_647, "b": 3], "merges": [], "byte_fallback": true]
    ])
    #expect(gaps.encode("ab") == [2_147_483_647, 3])
    #expect(gaps.vocabularySize == 2_147_483_648)
    #expect(gaps.decode([7, 3, 0, -5]) == " b")
    let affixes = try Tokenizer(json: [
      "model": [
        "vocab": ["a": 0, "a</w>": 1, "##a": 2, "##a</w>": 3, "aa</w>": 4], "merges": ["a ##a</w>"],
        "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>",
      ]
    ])
    #expect(affixes.encode("a") == [1])
    #expect(affixes.encode("aa") == [4])
    #expect(affixes.encode("aaa") == [0, 2, 3])
  }

  /// Bytes overtake the unknown character before them: the library's own way.
  @Test func bytesAndUnknowns() throws {
    let tokenizer = try Tokenizer(json: [
      "model": [
        "vocab": ["<unk>": 0, "a": 1, "<0xC3>": 2, "<0xA9>": 3], "merges": [], "unk_token": "<unk>", "fuse_unk": true,
        "byte_fallback": true,
      ]
    ])
    #expect(tokenizer.encode("aé") == [1, 2, 3])
    #expect(tokenizer.encode("xxéa") == [2, 3, 0, 1])
  }

  @Test func emptyText() throws {
    for fixture in Fixture.allCases {
      let tokenizer = try fixture.tokenizer()
      #expect(tokenizer.encode("", addSpecialTokens: false) == [])
      #expect(tokenizer.decode([]) == "")
      var stream = tokenizer.streamingDecoder()
      #expect(stream.finish() == "")
    }
  }
}
