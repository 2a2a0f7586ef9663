import JSON
import Testing

@testable import Tokenization

@Suite struct MergesTests {
  private static let document: JSON = [
    "model": [
      "type": "BPE", "vocab": ["a": 0, "b": 1, "aa": 2, "ab": 3, "aab": 4, "ba": 5, "aaaa": 6, "<unk>": 7],
      "merges": ["a a", ["a", "b"], "aa b", ["b", "a"], "aa aa"], "unk_token": "<unk>",
    ]
  ]

  private func document(_ changes: (String, JSON)...) -> JSON {
    guard case .object(var members)? = Self.document["model"] else { return nil }
    for (key, value) in changes {
      members.removeAll { $0.key == key }
      members.append(.init(key, value))
    }
    return ["model": .object(members)]
  }

  @Test func lowestRankFirstLeftmostAmongEquals() throws {
    let tokenizer = try Tokenizer(json: document())
    #expect(tokenizer.encode("aaa") == [2, 0])
    #expect(tokenizer.encode("aab") == [4])
    #expect(tokenizer.encode("abab") == [3, 3])
    #expect(tokenizer.encode("aaaaab") == [6, 3])
    #expect(tokenizer.encode("") == [])
  }

  /// Both ways of joining give the same, whatever the length.
  @Test func scanAndQueueAgree() throws {
    let field = Field(path: "model", value: document()["model"] ?? .null)
    var vocabulary = Vocabulary()
    for member in try field["vocab"].members() {
      #expect(vocabulary.add(Array(member.key.utf8), id: UInt32(member.value.int ?? 0)) == nil)
    }
    let merges = try Merges(field["merges"], vocabulary: vocabulary)
    for count in 0...10 {
      for bits in 0..<(1 << count) {
        let symbols = (0..<count).map { UInt32(bits >> $0 & 1) }
        var (scanned, queued) = (symbols, symbols)
        merges.scan(&scanned)
        merges.queue(&queued)
        #expect(scanned == queued, "\(symbols)")
      }
    }
  }

  @Test func unknownCharacters() throws {
    #expect(try Tokenizer(json: document()).encode("axya") == [0, 7, 7, 0])
    #expect(try Tokenizer(json: document(("fuse_unk", true))).encode("axyaz") == [0, 7, 0, 7])
    #expect(try Tokenizer(json: document(("unk_token", nil))).encode("axyab") == [4])
  }

  @Test func ignoreMergesTakesWholeWords() throws {
    #expect(try Tokenizer(json: document(("merges", []))).encode("aaaa") == [0, 0, 0, 0])
    #expect(try Tokenizer(json: document(("merges", []), ("ignore_merges", true))).encode("aaaa") == [6])
  }

  @Test func decodesWithoutDecoder() throws {
    #expect(try Tokenizer(json: document()).decode([0, 4, 1]) == "a aab b")
    var members = document().members ?? []
    members.append(.init("decoder", ["type": "Sequence", "decoders": []]))
    #expect(try Tokenizer(json: .object(members)).decode([0, 4, 1]) == "aaabb")
  }
}
