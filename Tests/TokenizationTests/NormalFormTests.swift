import JSON
import Testing

@testable import Tokenization

@Suite struct NormalFormTests {
  private static let document = Result { try JSON(parsing: Fixture.bytes("normal_forms.json")) }

  private func normalize(_ normalizer: any Normalizer, _ bytes: [UInt8]) -> [UInt8] {
    var text = SourcedText(bytes)
    normalizer.normalize(&text)
    return text.bytes
  }

  private func normalize(_ normalizer: any Normalizer, _ text: String) -> [UInt8] { normalize(normalizer, Array(text.utf8)) }

  /// All scalars that may change, 4096 at a time, and marks in all sorts of orders.
  @Test(arguments: ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]) func agreesWithTheLibrary(_ name: String) throws {
    let document = try Self.document.get()
    let expected = try #require(document[name]?.array).compactMap(\.string)
    let mixed = try #require(document["mixed"]?.array).compactMap(\.string)
    let step = try #require(try Normalizers.read(Field(path: "", value: ["type": .string(name)])).first)
    // Of the planes that nothing was put into, one block in 16.
    let blocks = stride(from: UInt32(0), to: 0x110000, by: 4096).filter { $0 < 0x34000 || $0 % 0x10000 == 0 }
    for start in blocks {
      // One text of all: letters and line breaks keep scalars apart.
      var bytes: [UInt8] = []
      for scalar in (start..<start + 4096).compactMap(Unicode.Scalar.init) {
        bytes += bytes.isEmpty ? [0x61] : [0x0A, 0x61]
        scalar.appendUTF8(to: &bytes)
        bytes.append(0x62)
      }
      #expect(digest(normalize(step, bytes)) == expected[Int(start / 4096)], "from U+\(String(start, radix: 16))")
    }
    let found = mixed.map { normalize(step, Array($0.utf8)) }
    #expect(digest(Array(found.joined(separator: [0x0A]))) == expected.last)
  }

  @Test(arguments: [
    ("e\u{301}", "\u{E9}"), ("e\u{327}\u{301}", "\u{229}\u{301}"), ("xe\u{301}x", "x\u{E9}x"), ("\u{301}", "\u{301}"),
    ("\u{212B}\u{2126}", "\u{C5}\u{3A9}"), ("\u{304B}\u{3099}", "\u{304C}"), ("\u{1112}\u{1161}\u{11AB}", "\u{D55C}"),
    ("\u{AC00}\u{11A8}", "\u{AC01}"), ("\u{AC00}\u{11A7}", "\u{AC00}\u{11A7}"), ("\u{958}", "\u{915}\u{93C}"),
    // Since Unicode 13 and 10: not known to the reference.
    ("\u{11935}\u{11930}", "\u{11935}\u{11930}"), ("\u{2DF7}\u{11D44}", "\u{2DF7}\u{11D44}"),
  ])
  func composes(_ text: String, _ expected: String) {
    #expect(normalize(NormalForm.composed, text) == Array(expected.utf8))
  }

  @Test func laws() {
    let texts = [
      "e\u{327}\u{301}\u{1E69}", "\u{FB03}\u{2075}\u{FDFA}", "\u{D55C}\u{AC01}\u{11A8}", "z\u{351}\u{36B}\u{343}\u{334}",
    ]
    for text in texts {
      for form in NormalForm.allCases {
        let once = normalize(form, text)
        #expect(normalize(form, String(decoding: once, as: UTF8.self)) == once)
      }
      let apart = String(decoding: normalize(NormalForm.decomposed, text), as: UTF8.self)
      #expect(normalize(NormalForm.composed, apart) == normalize(NormalForm.composed, text))
    }
  }

  /// Very many marks on one letter are put in order in no time to speak of.
  @Test func longRunsOfMarks() {
    let text = "a" + String(repeating: "\u{301}\u{327}", count: 100_000)
    #expect(normalize(NormalForm.composed, text).count < text.utf8.count + 4)
  }
}
