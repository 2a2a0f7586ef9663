/// Why a chat template cannot be read, or why it gives no text for a conversation.
public struct TemplateError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Kind: Sendable, Hashable {
    /// The template says something that this renderer does not know, or is no template at all.
    case template
    /// The template itself refuses the conversation (`raise_exception`), or fails on it.
    case conversation
    /// Rendering takes more steps, memory or depth than any honest template needs.
    case limit
  }

  public var kind: Kind
  /// The line of the template, counted from 1; 0 where no line of it is to blame.
  public var line: Int
  public var message: String

  init(_ kind: Kind, line: Int = 0, _ message: String) {
    self.kind = kind
    self.line = line
    self.message = message
  }

  public var description: String { line == 0 ? message : "line \(line) of the template: \(message)" }
}
