import JSON

/// A conversation as chat templates see it.
public struct Conversation: Sendable, Equatable {
  /// In order: objects with a `role` and most often `content`, and whatever else a template may ask for.
  public var messages: [JSON]
  /// What the assistant may call, as the row gives it; nil for nothing.
  public var tools: JSON?

  public init(messages: [JSON], tools: JSON? = nil) {
    self.messages = messages
    self.tools = tools
  }

  /// A conversation of plain texts.
  public init(_ turns: [(role: String, content: String)]) {
    self.init(messages: turns.map { ["role": .string($0.role), "content": .string($0.content)] })
  }

  /// The role of a message, where it says one.
  public func role(of message: Int) -> String? { messages[message]["role"]?.string }

  /// The messages that the assistant says, by index.
  public var answers: [Int] { messages.indices.filter { role(of: $0) == Self.assistant } }

  public static let assistant = "assistant"
}

/// A conversation's text, and where in it the assistant speaks.
public struct MarkedText: Sendable, Equatable {
  public struct Answer: Sendable, Equatable {
    /// The index of the message.
    public var message: Int
    /// What the model has to write, its end of turn included: bytes of the text's UTF-8.
    public var bytes: Range<Int>
  }
  public var text: String
  /// In order, and without overlaps.
  public var answers: [Answer]
}
