import ChatTemplates
import JSON
import Registry

/// Reads the JSON of a row by the keys that the field gives its formats.
enum RowFormat {
  typealias Format = RunFile.DataSettings.Format

  /// The keys that make a format, in the words of messages.
  private static let keys: [(format: Format, keys: [String])] = [
    (.messages, ["messages"]), (.sharegpt, ["conversations"]), (.prompt, ["prompt", "completion"]),
    (.alpaca, ["instruction", "output"]), (.label, ["text", "label"]), (.text, ["text"]),
  ]

  static func content(_ json: JSON, as format: Format) throws(RowProblem) -> DataRow.Content {
    guard let members = json.members else { throw RowProblem(reason: "a row must be an object, such as {\"text\": \"…\"}") }
    switch try chosen(format, members) {
    case .messages: return try messages(json)
    case .sharegpt: return try shared(json)
    case .prompt: return try prompt(json)
    case .alpaca: return try instruction(json)
    case .label: return .labelled(try text("text", json), label: try label(json))
    case .text, .auto:
      let whole = try text("text", json)
      guard !whole.isEmpty else { throw RowProblem(reason: "\"text\" is empty: nothing to learn") }
      return .text(whole)
    }
  }

  /// The format of a row: the one that is asked for, or the one whose keys it has.
  private static func chosen(_ format: Format, _ members: [JSON.Member]) throws(RowProblem) -> Format {
    let present = Set(members.filter { !$0.value.isNull }.map(\.key))
    func quoted(_ keys: some Collection<String>) -> String { keys.map { "\"\($0)\"" }.joined(separator: " and ") }
    let named = members.map { "\"\($0.key)\"" }.joined(separator: ", ")
    if format != .auto {
      let wanted = keys.first { $0.format == format }?.keys ?? []
      let missing = wanted.filter { !present.contains($0) }
      guard missing.isEmpty else {
        throw RowProblem(
          reason:
            "data.format is \(format.rawValue), but the row has no \(quoted(missing)); it has \(named.isEmpty ? "nothing" : named)"
        )
      }
      return format
    }
    var fitting = keys.filter { present.isSuperset(of: $0.keys) }.map(\.format)
    if fitting.contains(.label) { fitting.removeAll { $0 == .text } }
    guard fitting.count < 2 else {
      throw RowProblem(
        reason: "the row can be read as \(fitting.map(\.rawValue).joined(separator: " and as ")); say which with data.format")
    }
    if let only = fitting.first { return only }
    for (_, keys) in keys where keys.count > 1 && present.contains(keys[0]) && keys[0] != "text" {
      throw RowProblem(reason: "a row with \(quoted([keys[0]])) needs \(quoted([keys[1]]))")
    }
    throw RowProblem(
      reason:
        "a row needs \"messages\", \"conversations\", \"prompt\" and \"completion\", \"instruction\" and \"output\", or \"text\"; "
        + "it has \(named.isEmpty ? "nothing" : named)")
  }

  private static func text(_ key: String, _ json: JSON) throws(RowProblem) -> String {
    guard let text = json[key]?.string else { throw RowProblem(reason: "\"\(key)\" must be text") }
    return text
  }

  private static func optionalText(_ key: String, _ json: JSON) throws(RowProblem) -> String? {
    guard let value = json[key], !value.isNull else { return nil }
    guard let text = value.string else { throw RowProblem(reason: "\"\(key)\" must be text") }
    return text
  }

  private static func label(_ json: JSON) throws(RowProblem) -> String {
    switch json["label"] {
    case .string(let label)? where !label.isEmpty: return label
    case .int(let label)?: return String(label)
    case .bool(let label)?: return String(label)
    default: throw RowProblem(reason: "\"label\" must be a text, a whole number or a truth value")
    }
  }

  // MARK: Prompts

  private static func prompt(_ json: JSON) throws(RowProblem) -> DataRow.Content {
    if let before = json["prompt"]?.array {
      guard let answer = json["completion"]?.array, !answer.isEmpty else {
        throw RowProblem(reason: "\"prompt\" is a list of messages, so \"completion\" must be one, and not empty")
      }
      var messages: [JSON] = []
      for (key, list) in [("prompt", before), ("completion", answer)] {
        for (index, message) in list.enumerated() { messages.append(try Self.message(message, "\(key)[\(index)]")) }
      }
      let talk = Conversation(messages: messages, tools: try tools(json))
      guard talk.answers.contains(where: { $0 >= before.count }) else {
        throw RowProblem(reason: "\"completion\" has no message of the assistant: nothing to learn")
      }
      return .conversation(talk, from: before.count)
    }
    let prompt = try text("prompt", json)
    let completion = try text("completion", json)
    guard !completion.isEmpty else { throw RowProblem(reason: "\"completion\" is empty: nothing to learn") }
    return .prompt(prompt, completion: completion)
  }

  private static func instruction(_ json: JSON) throws(RowProblem) -> DataRow.Content {
    var history: [(question: String, answer: String)] = []
    if let turns = json["history"], !turns.isNull {
      guard let turns = turns.array else { throw RowProblem(reason: "\"history\" must be a list of pairs of texts") }
      for turn in turns {
        guard let pair = turn.array?.compactMap(\.string), pair.count == 2, turn.array?.count == 2 else {
          throw RowProblem(reason: "\"history\" must be a list of pairs of texts")
        }
        history.append((pair[0], pair[1]))
      }
    }
    let row = DataRow.Instruction(
      instruction: try text("instruction", json), input: try optionalText("input", json) ?? "", output: try text("output", json),
      system: try optionalText("system", json), history: history)
    guard !row.output.isEmpty else { throw RowProblem(reason: "\"output\" is empty: nothing to learn") }
    return .instruction(row)
  }

  // MARK: Conversations

  private static func messages(_ json: JSON) throws(RowProblem) -> DataRow.Content {
    guard let list = json["messages"]?.array else { throw RowProblem(reason: "\"messages\" must be a list") }
    var messages: [JSON] = []
    for (index, message) in list.enumerated() { messages.append(try Self.message(message, "messages[\(index)]")) }
    return try conversation(messages, json, "messages")
  }

  private static func conversation(_ messages: [JSON], _ json: JSON, _ key: String) throws(RowProblem) -> DataRow.Content {
    let talk = Conversation(messages: messages, tools: try tools(json))
    guard !talk.answers.isEmpty else { throw RowProblem(reason: "\"\(key)\" has no turn of the assistant: nothing to learn") }
    return .conversation(talk, from: 0)
  }

  /// A list, or LLaMA-Factory's text of one.
  private static func tools(_ json: JSON) throws(RowProblem) -> JSON? {
    var tools = json["tools"]
    if let text = tools?.string { tools = text.isEmpty ? nil : try? JSON(parsing: text) }
    switch tools {
    case .array(let list)?: return list.isEmpty ? nil : .array(list)
    case .null?: return nil
    case nil where json["tools"] == nil || json["tools"]?.string == "": return nil
    default: throw RowProblem(reason: "\"tools\" must be a list")
    }
  }

  private static let roles = ["system", "developer", "user", "assistant", "tool", "function", "ipython"]

  /// A message as templates see it: content in parts becomes one text.
  private static func message(_ json: JSON, _ place: String) throws(RowProblem) -> JSON {
    guard let members = json.members else { throw RowProblem(reason: "\(place) must be an object with \"role\" and \"content\"") }
    guard let role = json["role"]?.string else { throw RowProblem(reason: "\(place) has no \"role\"") }
    guard roles.contains(role) else {
      throw RowProblem(reason: "\(place) has the role \"\(role)\"; known: \(roles.joined(separator: ", "))")
    }
    if let weight = json["weight"], weight.int != 0, weight.int != 1 {
      throw RowProblem(reason: "\"weight\" of \(place) must be 0 or 1")
    }
    let calls = json["tool_calls"]?.array ?? []
    var content: JSON?
    switch json["content"] {
    case .string(let text)?:
      guard role != Conversation.assistant || !text.isEmpty || !calls.isEmpty else {
        throw RowProblem(reason: "\(place) is an answer without content: nothing to learn")
      }
      content = .string(text)
    case .array(let parts)?: content = .string(try joined(parts, place))
    case nil where !calls.isEmpty: return json
    case .null? where !calls.isEmpty: content = .null
    case nil: throw RowProblem(reason: "\(place) has no \"content\"")
    default: throw RowProblem(reason: "\"content\" of \(place) must be text")
    }
    return .object(members.map { $0.key == "content" ? .init("content", content ?? .null) : $0 })
  }

  private static func joined(_ parts: [JSON], _ place: String) throws(RowProblem) -> String {
    var text = ""
    for part in parts {
      guard part["type"]?.string == "text", let more = part["text"]?.string else {
        let type = part["type"]?.string ?? "no type"
        throw RowProblem(reason: "\(place) has content of \(type); only text is learned from")
      }
      text += more
    }
    return text
  }

  /// Whom ShareGPT's names stand for.
  private static let speakers = [
    "system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "model": "assistant", "tool": "tool", "observation": "tool", "function_response": "tool",
  ]

  private static func shared(_ json: JSON) throws(RowProblem) -> DataRow.Content {
    guard let turns = json["conversations"]?.array else { throw RowProblem(reason: "\"conversations\" must be a list") }
    var messages: [JSON] = []
    if let system = try optionalText("system", json) { messages.append(["role": "system", "content": .string(system)]) }
    for (index, turn) in turns.enumerated() {
      let place = "conversations[\(index)]"
      // Some files have the list of the one format with the keys of the other.
      if turn["from"] == nil, turn["role"] != nil {
        messages.append(try message(turn, place))
        continue
      }
      guard let speaker = turn["from"]?.string, let value = turn["value"]?.string else {
        throw RowProblem(reason: "\(place) must be an object with \"from\" and \"value\", both text")
      }
      guard let role = speakers[speaker] else {
        throw RowProblem(
          reason: "\(place) is from \"\(speaker)\"; known: \(speakers.keys.sorted().joined(separator: ", "))")
      }
      guard role != Conversation.assistant || !value.isEmpty else {
        throw RowProblem(reason: "\(place) is an answer without content: nothing to learn")
      }
      var message: [JSON.Member] = [.init("role", .string(role)), .init("content", .string(value))]
      if let weight = turn["weight"] { message.append(.init("weight", weight)) }
      messages.append(.object(message))
    }
    return try conversation(messages, json, "conversations")
  }
}
