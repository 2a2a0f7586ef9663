/// A chat template without a language: what stands before and after a turn of every role.
public struct TurnTemplate: Sendable, Hashable {
  public struct Turn: Sendable, Hashable {
    public var before: String
    public var after: String

    public init(before: String = "", after: String = "") {
      self.before = before
      self.after = after
    }
  }

  /// What begins the text.
  public var begin: String
  /// The system message of conversations that have none of their own.
  public var defaultSystem: String?
  /// By role.
  public var turns: [String: Turn]

  public init(begin: String = "", defaultSystem: String? = nil, turns: [String: Turn]) {
    self.begin = begin
    self.defaultSystem = defaultSystem
    self.turns = turns
  }

  /// The text with its answers; with a generation prompt it ends where the assistant is to go on.
  func rendered(_ conversation: Conversation, addGenerationPrompt: Bool) throws(TemplateError) -> MarkedText {
    guard conversation.tools == nil else {
      throw TemplateError(.conversation, "it has tools, which a template of turns has no place for")
    }
    var result = MarkedText(text: begin, answers: [])
    if let defaultSystem, conversation.messages.isEmpty || conversation.role(of: 0) != "system" {
      let turn = try turn("system")
      result.text += turn.before + defaultSystem + turn.after
    }
    for (index, message) in conversation.messages.enumerated() {
      let role = conversation.role(of: index) ?? ""
      let turn = try turn(role)
      guard message["tool_calls"] == nil || message["tool_calls"]?.isNull == true, let content = message["content"]?.string else {
        throw TemplateError(.conversation, "messages[\(index)] has no plain content, and a template of turns takes nothing else")
      }
      result.text += turn.before
      let start = result.text.utf8.count
      result.text += content + turn.after
      guard result.text.utf8.count <= Interpreter.maximumText else { throw TemplateError(.limit, "the text grows too long") }
      if role == Conversation.assistant {
        result.answers.append(.init(message: index, bytes: start..<result.text.utf8.count))
      }
    }
    if addGenerationPrompt { result.text += try turn(Conversation.assistant).before }
    return result
  }

  private func turn(_ role: String) throws(TemplateError) -> Turn {
    guard let turn = turns[role] else {
      throw TemplateError(.conversation, "the template has no turn for the role \"\(role)\"")
    }
    return turn
  }
}
