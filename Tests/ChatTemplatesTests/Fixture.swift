import Foundation
import JSON
import Testing

@testable import ChatTemplates

/// What the reference libraries give; made by `Fixtures/make.py`.
enum Fixture {
  struct Row {
    var template: String
    var conversation: Conversation
    var arguments: [JSON.Member]
    /// Nil where Python ends with an error.
    var text: String?
    var asked: String?
    var answers: [Range<Int>?]
    /// For messages of tests.
    var name: String
  }

  static let tokens: [JSON.Member] = [.init("bos_token", "<s>"), .init("eos_token", "</s>"), .init("unk_token", "<unk>")]

  static func text(_ name: String) throws -> String {
    let url = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures").appendingPathComponent(name)
    return String(decoding: try Data(contentsOf: url), as: UTF8.self)
  }

  static func template(_ name: String, _ arguments: [JSON.Member] = []) throws -> ChatTemplate {
    try ChatTemplate(jinja: text("templates/\(name).jinja"), variables: tokens + arguments)
  }

  static func rows() throws -> [Row] {
    let conversations = try lines("conversations.jsonl")
    return try lines("rendered.jsonl").map { row in
      let name = try #require(row["template"]?.string)
      let index = try #require(row["conversation"]?.int)
      let given = conversations[index]
      let failed = row["error"] != nil
      return Row(
        template: name,
        conversation: Conversation(messages: given["messages"]?.array ?? [], tools: given["tools"]),
        arguments: given["kwargs"]?.members ?? [], text: failed ? nil : row["text"]?.string,
        asked: failed ? nil : row["asked"]?.string,
        answers: (row["answers"]?.array ?? []).map { span in
          guard let ends = span.array?.compactMap(\.int), ends.count == 2 else { return nil }
          return ends[0]..<ends[1]
        }, name: "\(name), conversation \(index)")
    }
  }

  private static func lines(_ name: String) throws -> [JSON] {
    try text(name).utf8.split(separator: UInt8(ascii: "\n")).map { try JSON(parsing: $0) }
  }
}

/// Whether two texts are the same scalar by scalar; `==` on strings is canonical equivalence.
func same(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
