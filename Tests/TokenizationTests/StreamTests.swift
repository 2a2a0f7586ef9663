import JSON
import Testing

@testable import Tokenization

@Suite struct StreamTests {
  /// A token for every byte, with the byte as its id.
  private func tokenizer() throws -> Tokenizer {
    let vocab = (0...255 as ClosedRange<UInt8>).map { byte in
      var token: [UInt8] = []
      ByteAlphabet.append(byte, to: &token)
      return JSON.Member(String(decoding: token, as: UTF8.self), .int(Int(byte)))
    }
    return try Tokenizer(json: [
      "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false],
      "decoder": ["type": "Sequence", "decoders": [["type": "ByteLevel"]]],
      "model": ["type": "BPE", "vocab": .object(vocab), "merges": []],
    ])
  }

  @Test func givesOutWholeCharacters() throws {
    let tokenizer = try tokenizer()
    let ids = tokenizer.encode("a€😀é")
    var stream = tokenizer.streamingDecoder()
    #expect(ids.map { stream.append($0) } == ["a", "", "", "€", "", "", "", "😀", "", "é"])
    #expect(stream.finish() == "")
  }

  @Test func finishShowsWhatIsMissing() throws {
    var stream = try tokenizer().streamingDecoder()
    #expect([0xF0, 0x9F, 0x98].map { stream.append($0) } == ["", "", ""])
    #expect(stream.finish() == "\u{FFFD}")
    #expect(stream.finish() == "")
  }

  /// Any bytes at all, not only those of texts: what the stream gives is what `decode` gives.
  @Test func agreesWithDecode() throws {
    let tokenizer = try tokenizer()
    let bytes = [0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC3, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xF5]
    for a in bytes {
      for b in bytes {
        for c in bytes {
          for d in bytes {
            let ids = [a, b, c, d]
            var stream = tokenizer.streamingDecoder()
            var text = ids.reduce(into: "") { $0 += stream.append($1) }
            text += stream.finish()
            if !same(text, tokenizer.decode(ids)) { Issue.record("\(ids)") }
          }
        }
      }
    }
  }
}
