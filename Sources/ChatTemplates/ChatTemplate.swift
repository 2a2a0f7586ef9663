import JSON

/// How a conversation becomes one text: a model's own template, in the part of Jinja that such templates are written in, or
/// what a run file says of turns.
///
/// A model's template is run, not recognised: whatever it is called and however it is spelled, the text is the one that
/// `transformers` renders, or the template is refused with the line it fails at. Jinja itself is a language in which anything can
/// be written; `Jinja/` holds what is understood of it.
public struct ChatTemplate: Sendable {
  private enum Form: Sendable {
    /// The template, and the one for conversations with tools where that is another.
    case jinja([Statement], tools: [Statement]?, variables: [String: Value])
    case turns(TurnTemplate)
  }
  private let form: Form

  public init(_ turns: TurnTemplate) { form = .turns(turns) }

  /// A Jinja template. `variables` are what it finds beside the conversation: `bos_token` and its like.
  ///
  /// - Throws: with the line, for anything that is not understood.
  public init(jinja: String, forTools: String? = nil, variables: [JSON.Member] = []) throws(TemplateError) {
    let tools = try forTools.map { (text) throws(TemplateError) in try Parser.parse(text) }
    form = .jinja(
      try Parser.parse(jinja), tools: tools,
      variables: Dictionary(variables.map { ($0.key, Value($0.value)) }) { _, last in last })
  }

  /// The text of a conversation, as `apply_chat_template(…, tokenize=False)` gives it.
  ///
  /// - Parameter addGenerationPrompt: whether the text ends where the assistant is to go on.
  public func text(of conversation: Conversation, addGenerationPrompt: Bool = false) throws(TemplateError) -> String {
    switch form {
    case .turns(let turns): return try turns.rendered(conversation, addGenerationPrompt: addGenerationPrompt).text
    case .jinja:
      let messages = Self.values(of: conversation)
      return try render(messages[...], conversation.tools, addGenerationPrompt).text
    }
  }

  /// The text of a whole conversation, and where the assistant speaks in it.
  ///
  /// An answer begins where the model would be asked for it: behind the text of all messages before, rendered with a generation
  /// prompt, which must be how the whole text begins. It ends where the template ends with its message; the last one takes what
  /// the template puts at the very end along. A template with `{% generation %}` blocks says itself where the answers are.
  public func markedText(of conversation: Conversation) throws(TemplateError) -> MarkedText {
    switch form {
    case .turns(let turns): return try turns.rendered(conversation, addGenerationPrompt: false)
    case .jinja:
      let messages = Self.values(of: conversation)
      let whole = try render(messages[...], conversation.tools, false)
      try Self.refuseLost(conversation, in: whole)
      let indices = conversation.answers
      if whole.hasMarks { return try Self.marked(whole, indices) }
      var answers: [MarkedText.Answer] = []
      for index in indices {
        let before = try render(messages[..<index], conversation.tools, true).text
        answers.append(try Self.answer(index, in: whole, before: before))
      }
      return MarkedText(text: whole.text, answers: answers)
    }
  }
}

extension ChatTemplate {
  /// What one run of a template gives.
  private struct Rendering {
    var text: String
    var messages: [Int: [Range<Int>]]
    var generations: [Range<Int>]
    var hasMarks: Bool
  }

  private func render(
    _ messages: ArraySlice<Value>, _ tools: JSON?, _ addGenerationPrompt: Bool
  ) throws(TemplateError) -> Rendering {
    guard case .jinja(let plain, let other, var variables) = form else {
      return Rendering(text: "", messages: [:], generations: [], hasMarks: false)
    }
    variables["messages"] = .list(Array(messages))
    variables["tools"] = tools.map(Value.init) ?? Value.none
    variables["documents"] = Value.none
    variables["add_generation_prompt"] = .bool(addGenerationPrompt)
    let statements = tools == nil ? plain : other ?? plain
    var interpreter = Interpreter(variables: variables)
    let text = try interpreter.run(statements)
    return Rendering(
      text: text, messages: interpreter.messages, generations: interpreter.generations,
      hasMarks: statements.contains(where: \.hasMarks))
  }

  /// The messages as the template sees them, each knowing its place.
  private static func values(of conversation: Conversation) -> [Value] {
    conversation.messages.enumerated().map { index, message in
      guard case .mapping(let mapping) = Value(message) else { return Value(message) }
      return .mapping(Value.Mapping(withReasoning(mapping.entries), message: index))
    }
  }

  /// The three names by which templates ask for what a model thought, as `transformers` fills them in.
  private static func withReasoning(_ entries: [(key: String, value: Value)]) -> [(key: String, value: Value)] {
    let mapping = Value.Mapping(entries)
    let given = ["reasoning_content", "thinking", "reasoning"].lazy.compactMap { name -> Value? in
      guard let value = mapping[name] else { return nil }
      if case .none = value { return nil }
      return value
    }.first
    guard let given else { return entries }
    var result = mapping["thinking"] == nil ? [("thinking", given)] + entries : entries
    if let place = result.firstIndex(where: { $0.key == "reasoning_content" }) {
      result[place].value = given
    } else {
      result.append(("reasoning_content", given))
    }
    return result
  }

  /// Refuses messages that a template passes over in silence. System messages may stand in another's text, and so may the
  /// first of a user.
  private static func refuseLost(_ conversation: Conversation, in whole: Rendering) throws(TemplateError) {
    for index in conversation.messages.indices where whole.messages[index] == nil {
      let role = conversation.role(of: index) ?? ""
      guard !["system", "developer", "user", assistant].contains(role) else { continue }
      throw TemplateError(.conversation, "the template leaves messages[\(index)] out, of the role \"\(role)\"")
    }
  }

  private static let assistant = Conversation.assistant

  private static func marked(_ whole: Rendering, _ indices: [Int]) throws(TemplateError) -> MarkedText {
    guard whole.generations.count == indices.count else {
      throw TemplateError(
        .template, "it marks \(whole.generations.count) answers with {% generation %} in a conversation of \(indices.count)")
    }
    return MarkedText(
      text: whole.text, answers: zip(indices, whole.generations).map { .init(message: $0, bytes: $1) })
  }

  private static func answer(
    _ index: Int, in whole: Rendering, before: String
  ) throws(TemplateError) -> MarkedText.Answer {
    guard let spans = whole.messages[index], spans.count == 1 else {
      throw TemplateError(
        .template, "the text of messages[\(index)] does not stand in one place, so it is not known what the assistant says")
    }
    let isLast = whole.messages.keys.max() == index
    let end = isLast ? whole.text.utf8.count : spans[0].upperBound
    let start = before.utf8.count
    guard whole.text.utf8.starts(with: before.utf8), (spans[0].lowerBound...end).contains(start) else {
      throw TemplateError(
        .template,
        "what stands before messages[\(index)] is not what the model would be asked with, so it is not known where the "
          + "assistant begins")
    }
    return .init(message: index, bytes: start..<end)
  }
}

extension Statement {
  /// Whether a `{% generation %}` block is in it.
  fileprivate var hasMarks: Bool {
    switch self {
    case .generation: true
    case .branch(let branches, let otherwise):
      branches.contains { $0.body.contains(where: \.hasMarks) } || otherwise.contains(where: \.hasMarks)
    case .loop(let loop): loop.body.contains(where: \.hasMarks) || loop.otherwise.contains(where: \.hasMarks)
    case .capture(_, _, let body, _): body.contains(where: \.hasMarks)
    case .macro(let macro): macro.body.contains(where: \.hasMarks)
    case .text, .output, .assign, .breakLoop, .continueLoop: false
    }
  }
}
