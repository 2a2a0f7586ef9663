import ChatTemplates
import Files
import Registry

/// One row of a data file, as text.
public struct DataRow: Sendable, Equatable {
  public enum Content: Sendable, Equatable {
    /// All of it is learned.
    case text(String)
    /// Context, and what follows it on the next line.
    case prompt(String, completion: String)
    /// The assistant's turns are learned, from the message of that index on.
    case conversation(Conversation, from: Int)
    case instruction(Instruction)
    /// What classification learns from; a language model does not.
    case labelled(String, label: String)
    /// An image of a class, scaled and normalised as the model wants it: [channels, height, width].
    case image([Float], label: String?)
  }

  /// An Alpaca row.
  public struct Instruction: Sendable, Equatable {
    public var instruction: String
    public var input: String
    public var output: String
    public var system: String?
    /// Earlier questions with their answers.
    public var history: [(question: String, answer: String)]

    public static func == (a: Instruction, b: Instruction) -> Bool {
      (a.instruction, a.input, a.output, a.system) == (b.instruction, b.input, b.output, b.system)
        && a.history.elementsEqual(b.history) { $0 == $1 }
    }

    /// As a conversation: the input stands on the lines below the instruction.
    public var conversation: Conversation {
      let question = input.isEmpty ? instruction : instruction + "\n" + input
      let earlier = history.flatMap { [("user", $0.question), (Conversation.assistant, $0.answer)] }
      return Conversation(
        (system.map { [("system", $0)] } ?? []) + earlier + [("user", question), (Conversation.assistant, output)])
    }

    /// As Stanford Alpaca wrote it, for models without a chat template.
    public var prompt: String {
      let opening = "Below is an instruction that describes a task"
      let request = "Write a response that appropriately completes the request.\n\n### Instruction:\n\(instruction)\n\n"
      return input.isEmpty
        ? "\(opening). \(request)### Response:"
        : "\(opening), paired with an input that provides further context. \(request)### Input:\n\(input)\n\n### Response:"
    }
  }

  /// Counted from 1, where the row begins; 0 where it is no line of its file.
  public var line: Int
  /// What it is called where it is no line: an image's file, a place in a tensor.
  public var place: String?
  public var content: Content

  public init(line: Int = 0, place: String? = nil, _ content: Content) {
    self.line = line
    self.place = place
    self.content = content
  }

  /// Where it comes from: `path:line`, or its own place.
  public func origin(in path: String) -> String { place ?? "\(path):\(line)" }

  /// What its format is called in a run file.
  public var format: RunFile.DataSettings.Format {
    switch content {
    case .text: .text
    case .prompt: .prompt
    case .conversation: .messages
    case .instruction: .alpaca
    case .labelled, .image: .label
    }
  }
}

/// What is wrong with a row, without its place.
public struct RowProblem: Error, Sendable { public var reason: String }

/// A bad row of a data file: `file:line: reason`, or `file: reason` where the row is a file of its own.
public struct BadRow: Sendable, Hashable, CustomStringConvertible {
  public var path: String
  public var line: Int?
  public var reason: String

  public init(path: String, line: Int?, reason: String) {
    self.path = path
    self.line = line
    self.reason = reason
  }

  /// A row of the file `path` that turned out to be none.
  init(_ row: DataRow, of path: String, _ problem: RowProblem) {
    self.init(path: row.place ?? path, line: row.place == nil ? row.line : nil, reason: problem.reason)
  }

  public var description: String {
    // Rows are a stranger's: the error's description leaves no control character in them.
    FileError(.badData, line.map { "\(path):\($0)" } ?? path, reason).description
  }
}

/// Bad rows of data files, each with its place.
public struct DataErrors: Error, Sendable, CustomStringConvertible {
  public var messages: [String]

  public init(messages: [String]) { self.messages = messages }

  /// The first twenty of them.
  init(_ rows: [BadRow]) {
    let rest = rows.count - 20
    messages = rows.prefix(20).map(\.description) + (rest > 0 ? ["… and \(rest) more bad rows"] : [])
  }

  public var description: String { messages.joined(separator: "\n") }
}
