import JSON
import Testing

@testable import ChatTemplates

@Suite struct TurnTemplateTests {
  private let chatML = TurnTemplate(
    turns: Dictionary(
      uniqueKeysWithValues: ["system", "user", "assistant"].map {
        ($0, TurnTemplate.Turn(before: "<|im_start|>\($0)\n", after: "<|im_end|>\n"))
      }))

  @Test func givesTheTextOfTheJinjaOne() throws {
    let (own, jinja) = (ChatTemplate(chatML), try Fixture.template("chatml"))
    let talk = Conversation([("system", "S"), ("user", "hi"), ("assistant", "Hello"), ("user", "why"), ("assistant", "So")])
    #expect(try own.markedText(of: talk) == jinja.markedText(of: talk))
    #expect(try own.text(of: talk, addGenerationPrompt: true) == jinja.text(of: talk, addGenerationPrompt: true))
  }

  @Test func beginsAndBringsItsSystemMessage() throws {
    var turns = chatML
    turns.begin = "<s>"
    turns.defaultSystem = "Be kind."
    let text = try ChatTemplate(turns).text(of: Conversation([("user", "hi")]), addGenerationPrompt: true)
    #expect(text == "<s><|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    let own = try ChatTemplate(turns).text(of: Conversation([("system", "Mine"), ("user", "hi")]))
    #expect(own == "<s><|im_start|>system\nMine<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n")
  }

  @Test func refusesWhatItHasNoTurnFor() {
    let template = ChatTemplate(chatML)
    #expect(throws: TemplateError.self) { try template.text(of: Conversation([("tool", "12")])) }
    #expect(throws: TemplateError.self) {
      try template.text(of: Conversation(messages: [["role": "user", "content": "x"]], tools: []))
    }
    #expect(throws: TemplateError.self) {
      try template.text(of: Conversation(messages: [["role": "assistant", "content": "x", "tool_calls": [1]]]))
    }
    #expect(throws: TemplateError.self) { try template.text(of: Conversation(messages: [["role": "user"]])) }
  }
}
