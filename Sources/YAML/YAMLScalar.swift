/// What a scalar says.
public enum YAMLScalar: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)

  /// Reads a plain scalar in the forms people write.
  ///
  /// `1`, `+3` and `007` are integers; `1e-4`, `1E5`, `.5`, `5.`, `.inf` and `.nan` are doubles, as are integers beyond `Int`;
  /// `true`, `True` and `TRUE` are truth values; `null`, `~` and nothing are null. All else is a string: `1_000`, `0x1F`,
  /// `1e999`, and also `yes`, `no`, `on`, `off`, which other readers turn into truth values behind the writer's back.
  public init(plain text: String) {
    switch text {
    case "", "~", "null", "Null", "NULL": self = .null
    case "true", "True", "TRUE": self = .bool(true)
    case "false", "False", "FALSE": self = .bool(false)
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": self = .double(.infinity)
    case "-.inf", "-.Inf", "-.INF": self = .double(-.infinity)
    case ".nan", ".NaN", ".NAN": self = .double(.nan)
    default: self = Self.number(text) ?? .string(text)
    }
  }

  /// Checks the form before the standard library converts, because that also takes `inf`, `nan` and hexadecimal forms.
  private static func number(_ text: String) -> YAMLScalar? {
    var rest = Substring(text).utf8
    func dropDigits() -> Int {
      let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
      rest = rest.dropFirst(digits)
      return digits
    }
    func dropOne(of characters: String) -> Bool {
      guard let first = rest.first, characters.utf8.contains(first) else { return false }
      rest = rest.dropFirst()
      return true
    }
    _ = dropOne(of: "+-")
    var digits = dropDigits()
    var isInteger = true
    if dropOne(of: ".") {
      isInteger = false
      digits += dropDigits()
    }
    guard digits > 0 else { return nil }
    if dropOne(of: "eE") {
      isInteger = false
      _ = dropOne(of: "+-")
      guard dropDigits() > 0 else { return nil }
    }
    guard rest.isEmpty else { return nil }
    if isInteger, let value = Int(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else { return nil }
    return .double(value)
  }
}

extension YAMLNode {
  /// The text of a scalar, whatever it says.
  public var text: String? {
    guard case .scalar(let text, _) = kind else { return nil }
    return text
  }

  /// What a scalar says; a quoted one is a string always.
  public var scalar: YAMLScalar? {
    switch kind {
    case .scalar(let text, .plain): YAMLScalar(plain: text)
    case .scalar(let text, .quoted): .string(text)
    default: nil
    }
  }

  public var isNull: Bool { scalar == .null }

  /// An exact integer; `1e3` and `5.` count.
  public var asInt: Int? {
    switch scalar {
    case .int(let value): value
    case .double(let value): Int(exactly: value)
    default: nil
    }
  }

  public var asDouble: Double? {
    switch scalar {
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  public var asBool: Bool? {
    guard case .bool(let value) = scalar else { return nil }
    return value
  }

  /// A string; a plain `8` or `true` is none (see ``text`` for its characters).
  public var asString: String? {
    guard case .string(let value) = scalar else { return nil }
    return value
  }

  /// What the node is, in words for a message: "expected an integer, found the string 'yes'".
  public var summary: String {
    switch kind {
    case .sequence: return "a list"
    case .mapping: return "a mapping"
    case .scalar(let text, _):
      let shown = text.count > 40 ? text.prefix(40) + "…" : text[...]
      switch scalar {
      case .bool: return "the truth value \(shown)"
      case .int: return "the integer \(shown)"
      case .double: return "the number \(shown)"
      case .string: return "the string '\(shown)'"
      default: return "nothing"
      }
    }
  }

  /// A word of help for a scalar that is a string but was probably not meant to be one.
  public var hint: String? {
    guard case .scalar(let text, let style) = kind else { return nil }
    if style == .quoted {
      switch YAMLScalar(plain: text) {
      case .bool, .int, .double: return "'\(text)' stands in quotes and is a string; write it without"
      default: return nil
      }
    }
    switch text.lowercased() {
    case "yes", "on", "y": return "'\(text)' is a string here; write true"
    case "no", "off", "n": return "'\(text)' is a string here; write false"
    default: break
    }
    guard case .string = scalar, text.contains("_") else { return nil }
    let joined = text.filter { $0 != "_" }
    switch YAMLScalar(plain: joined) {
    case .int, .double: return "'\(text)' is a string here; write \(joined)"
    default: return nil
    }
  }
}
