import Foundation
import JSON
import Testing

@testable import Tokenization

/// What the reference library gives for the texts of `lines.jsonl`; made by `Tools/tokenizer/make_fixture.py`.
enum Fixture: String, CaseIterable {
  case scripture
  case gpt2
  case llama3
  case qwen2

  struct Line {
    var text: String
    var ids: [Int]
    var bare: [Int]
    /// What the ids decode to, without special tokens and with them.
    var decoded: String
    var whole: String
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    let url = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures").appendingPathComponent(name)
    return Array(try Data(contentsOf: url))
  }

  private static func rows(_ name: String) throws -> [JSON] {
    try bytes(name).split(separator: UInt8(ascii: "\n")).map { try JSON(parsing: $0) }
  }

  func document() throws -> JSON {
    guard self == .scripture else { return try JSON(parsing: Self.bytes("\(rawValue).json")) }
    // The tokenizer that the project ships, read from where it lives: a copy could fall behind.
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    return try JSON(parsing: Data(contentsOf: root.appendingPathComponent("models/scripture/tokenizer.json")))
  }

  func tokenizer() throws -> Tokenizer { try Tokenizer(json: document()) }

  func lines() throws -> [Line] {
    let texts = try Self.rows("lines.jsonl")
    let rows = try Self.rows("\(rawValue).jsonl")
    try #require(texts.count == rows.count && texts.count > 1000)
    return try zip(texts, rows).map { text, row in
      let text = try #require(text.string)
      let ids = try #require(row["ids"]?.array).compactMap(\.int)
      return Line(
        text: text, ids: ids, bare: row["bare"]?.array?.compactMap(\.int) ?? ids, decoded: row["text"]?.string ?? text,
        whole: row["whole"]?.string ?? text)
    }
  }
}

/// Whether two texts are the same scalar by scalar; `==` on strings is canonical equivalence.
func same(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
