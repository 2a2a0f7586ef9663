import Files
import YAML

/// One fault of a file that was written by hand, with its place.
public struct Issue: Sendable, Hashable, CustomStringConvertible {
  /// The class of the fault; a command maps it to its exit code.
  public enum Kind: Sendable, Hashable {
    /// The file does not say what it has to say (78).
    case configuration
    /// What the file names does not exist (66).
    case missing
    /// What the file names is not what it has to be (65).
    case badData
    /// What the file names cannot be written (73).
    case cannotCreate
  }

  public var kind: Kind
  public var file: String
  /// Counted from 1; 0 where the fault has no place in a text.
  public var line: Int
  public var column: Int
  public var message: String

  public init(_ message: String, kind: Kind = .configuration, file: String, line: Int = 0, column: Int = 0) {
    self.kind = kind
    self.file = file
    self.line = line
    self.column = column
    self.message = message
  }

  /// `file:line:column: message` on one line, the form editors jump to; without line and column where there are none.
  public var description: String {
    let line = YAMLError(file: file, mark: Mark(line: line, column: column), message: message).description
    return self.line == 0 ? line.replacing(":0:0: ", with: ": ", maxReplacements: 1) : line
  }
}

/// Everything that is wrong with a configuration, at once and in the order of its text.
public struct ConfigurationErrors: Error, Sendable, Hashable, CustomStringConvertible {
  public var issues: [Issue]

  public init(_ issues: [Issue]) { self.issues = issues }

  /// What is wrong with the inputs, where nothing is wrong with the file itself.
  public var kind: Issue.Kind {
    let kinds = Set(issues.map(\.kind))
    if kinds.contains(.configuration) { return .configuration }
    return kinds.count > 1 ? .badData : kinds.first ?? .configuration
  }

  /// One line an issue.
  public var description: String { issues.map(\.description).joined(separator: "\n") }
}

/// The issues of one file, gathered while it is read.
struct IssueLog {
  let file: String
  private(set) var issues: [Issue] = []

  init(file: String) { self.file = file }

  mutating func add(_ message: String, at mark: Mark, kind: Issue.Kind = .configuration) {
    issues.append(Issue(message, kind: kind, file: file, line: mark.line, column: mark.column))
  }

  /// All of them, or nothing; sorted by place.
  func finish() throws(ConfigurationErrors) {
    guard !issues.isEmpty else { return }
    let order = issues.enumerated().sorted {
      ($0.element.line, $0.element.column, $0.offset) < ($1.element.line, $1.element.column, $1.offset)
    }
    throw ConfigurationErrors(order.map(\.element))
  }
}

extension Issue.Kind {
  init(_ kind: FileError.Kind) {
    switch kind {
    case .badData: self = .badData
    case .cannotCreate: self = .cannotCreate
    case .missing, .io: self = .missing
    }
  }
}

extension FileError {
  /// What is wrong and why, without the path.
  var reason: String { what + (cause.map { " (\($0))" } ?? "") + (remedy.map { "; \($0)" } ?? "") }
}
