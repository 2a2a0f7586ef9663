#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Why a file could not be read or written, and what to do about it.
public struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The class of the fault; a command maps it to its exit code.
  public enum Kind: Sendable {
    /// An input does not exist or may not be read (66).
    case missing
    /// An input's content is not what it has to be (65).
    case badData
    /// An output cannot be begun (73).
    case cannotCreate
    /// Reading or writing failed underway (74).
    case io
  }

  public var kind: Kind
  public var path: String
  /// What is wrong.
  public var what: String
  /// What lies behind it, where something does: the system's word, a value found.
  public var cause: String?
  /// What the user can do.
  public var remedy: String?

  public init(_ kind: Kind, _ path: String, _ what: String, cause: String? = nil, remedy: String? = nil) {
    self.kind = kind
    self.path = path
    self.what = what
    self.cause = cause
    self.remedy = remedy
  }

  /// One line: `path: what (cause); remedy`.
  public var description: String { printable("\(path): \(fault)", limit: .max) }

  /// The same without the path.
  public var fault: String { what + (cause.map { " (\($0))" } ?? "") + (remedy.map { "; \($0)" } ?? "") }
}

extension FileError {
  /// A failed system call; `kind` stands unless `errno` says something more exact.
  static func system(_ kind: Kind, _ path: String, _ what: String, errno code: Int32) -> FileError {
    let cause = String(cString: strerror(code))
    switch code {
    case ENOSPC, EDQUOT:
      return FileError(.io, path, "\(what): the disk is full", cause: cause, remedy: "free some space and run again")
    case EFBIG:
      return FileError(
        .io, path, "\(what): a file may not grow that large here", cause: cause, remedy: "raise the limit (ulimit -f)")
    default: return FileError(kind, path, what, cause: cause)
    }
  }
}

/// Text from a stranger's file for a one-line message: no control characters, and no more than `limit` characters.
public func printable(_ text: String, limit: Int = 100) -> String {
  var out = ""
  for (i, scalar) in text.unicodeScalars.enumerated() {
    if i >= limit { return out + "…" }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: out += "\\u{\(String(scalar.value, radix: 16))}"
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out
}
