import Foundation
import JSON
import Testing

@testable import Tokenization

/// What the reference library gives for the texts of `lines.jsonl`, as digests; made by `Fixtures/make.py`, which also
/// shows what lies behind a digest: `make.py --show NAME LINE`.
enum Fixture: String, CaseIterable {
  case scripture
  case gpt2
  case roberta
  case llama3
  case qwen2
  case clip
  case bertUncased = "bert_uncased"
  case bertCased = "bert_cased"
  case llama2
  case mistral
  case gemma

  /// Digests of what the library gives for a text.
  struct Row {
    /// The ids with special tokens and without.
    var ids: String
    /// What the former decode to, without special tokens and with them.
    var decoded: String
    /// The encoding with the next text, cut and padded.
    var pair: String
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    let url = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures").appendingPathComponent(name)
    return Array(try Data(contentsOf: url))
  }

  static func rows(_ name: String) throws -> [JSON] {
    try bytes(name).split(separator: UInt8(ascii: "\n")).map { try JSON(parsing: $0) }
  }

  static func texts() throws -> [String] {
    let texts = try rows("lines.jsonl").compactMap(\.string)
    try #require(texts.count > 2000)
    return texts
  }

  func document() throws -> JSON {
    guard self == .scripture else { return try JSON(parsing: Self.bytes("\(rawValue).json")) }
    // The tokenizer that the project ships, read from where it lives: a copy could fall behind.
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    return try JSON(parsing: Data(contentsOf: root.appendingPathComponent("models/scripture/tokenizer.json")))
  }

  func tokenizer() throws -> Tokenizer { try Tokenizer(json: document()) }

  func rows() throws -> [Row] { try Self.digests("\(rawValue).txt") }

  static func digests(_ name: String) throws -> [Row] {
    String(decoding: try bytes(name), as: UTF8.self).split(separator: "\n").map { line in
      let parts = line.split(separator: " ").map(String.init)
      return Row(ids: parts[0], decoded: parts[1], pair: parts[2])
    }
  }
}

/// FNV-1a of 64 bits, in base 36.
func digest(_ bytes: some Sequence<UInt8>) -> String {
  var value: UInt64 = 0xCBF2_9CE4_8422_2325
  for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
  return String(value, radix: 36)
}

func listed(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: ",") }

/// Whether two texts are the same scalar by scalar; `==` on strings is canonical equivalence.
func same(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
