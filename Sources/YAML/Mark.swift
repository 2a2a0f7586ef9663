/// A place in a YAML text, counted in lines and characters from 1.
///
/// A node that was built rather than read has the mark `.none`, which is 0:0.
public struct Mark: Sendable, Hashable, CustomStringConvertible {
  public var line: Int
  public var column: Int

  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  public static let none = Mark(line: 0, column: 0)

  public var description: String { "\(line):\(column)" }
}

/// Why a text is no YAML that this project reads, and where.
public struct YAMLError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The name the text was given, for the reader of the message only.
  public var file: String
  public var mark: Mark
  public var message: String

  public init(file: String, mark: Mark, message: String) {
    self.file = file
    self.mark = mark
    self.message = message
  }

  /// `file:line:column: message` on one line, the form editors jump to.
  public var description: String {
    var line = ""
    for scalar in "\(file):\(mark): \(message)".unicodeScalars {
      // A key may hold anything; what a terminal would obey is shown by its number.
      if scalar.properties.generalCategory == .control {
        line += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        line.unicodeScalars.append(scalar)
      }
    }
    return line
  }
}
