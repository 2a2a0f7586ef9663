import JSON
import Testing

@testable import ChatTemplates

@Suite struct ReferenceTests {
  /// Every template over every conversation: the text is the reference's byte by byte, and what ends there with an error
  /// ends here with one.
  @Test func rendersAsTransformersDoes() throws {
    let rows = try Fixture.rows()
    try #require(rows.count > 700)
    for row in rows {
      let template = try Fixture.template(row.template, row.arguments)
      guard let text = row.text, let asked = row.asked else {
        #expect(throws: TemplateError.self, "\(row.name)") {
          _ = try template.text(of: row.conversation)
          _ = try template.text(of: row.conversation, addGenerationPrompt: true)
        }
        continue
      }
      do {
        let own = try template.text(of: row.conversation)
        #expect(same(own, text), "\(row.name)")
        #expect(same(try template.text(of: row.conversation, addGenerationPrompt: true), asked), "\(row.name), asked")
      } catch {
        Issue.record("\(row.name): \(error)")
      }
    }
  }

  /// Where every prefix of a conversation renders to a prefix of its text, the answers stand where those prefixes say.
  @Test func answersStandWherePrefixesSay() throws {
    var (compared, refused) = (0, [String: Int]())
    for row in try Fixture.rows() {
      guard row.text != nil else { continue }
      let template = try Fixture.template(row.template, row.arguments)
      let marked: MarkedText
      do { marked = try template.markedText(of: row.conversation) } catch {
        // Refused is what no prefix explains; nothing that prefixes do explain.
        let roles = row.conversation.messages.indices.map { row.conversation.role(of: $0) ?? "" }
        let isLost = error.message.hasPrefix("the template leaves messages[") && !Set(roles).isDisjoint(with: ["tool", "critic"])
        #expect(isLost || row.answers.contains(nil), "\(row.name): \(error)")
        if isLost { continue }
        refused[row.template, default: 0] += 1
        continue
      }
      #expect(marked.answers.map(\.message) == row.conversation.answers, "\(row.name)")
      for (answer, expected) in zip(marked.answers, row.answers) {
        guard let expected else { continue }
        compared += 1
        // The template's last word belongs to the last answer.
        let isLast = answer.message == row.conversation.messages.count - 1
        let end = isLast ? max(expected.upperBound, answer.bytes.upperBound) : expected.upperBound
        #expect(answer.bytes == expected.lowerBound..<end, "\(row.name), message \(answer.message)")
      }
    }
    #expect(compared > 400)
    // One of these is written for the tests and says nothing to go on with; the others differ by where thinking is left out.
    #expect(
      Set(refused.keys).isSubset(of: ["macros", "qwen3", "mistral-v3", "llama3.1", "llama3", "qwen2", "qwen2.5", "smollm2"]))
  }

  /// A template that drops what was thought in earlier turns rewrites what it has said before: prefixes do not explain its text,
  /// and the answers are still found.
  @Test func findsAnswersInRewrittenHistory() throws {
    let template = try Fixture.template("qwen3")
    let marked = try template.markedText(
      of: Conversation([("user", "hi"), ("assistant", "Hello"), ("user", "more"), ("assistant", "So")]))
    let said = marked.answers.map { String(decoding: Array(marked.text.utf8)[$0.bytes], as: UTF8.self) }
    #expect(said == ["Hello<|im_end|>\n", "<think>\n\n</think>\n\nSo<|im_end|>\n"])
  }

  /// What a template puts behind all messages belongs to the last answer.
  @Test func lastAnswerTakesTheEnd() throws {
    let marked = try Fixture.template("phi3").markedText(
      of: Conversation([("user", "hi"), ("assistant", "Hello"), ("user", "more"), ("assistant", "So")]))
    let said = marked.answers.map { String(decoding: Array(marked.text.utf8)[$0.bytes], as: UTF8.self) }
    #expect(said == ["Hello<|end|>\n", "So<|end|>\n</s>"])
  }
}
