extension JSON {
  /// The document as text: on one line, or indented by two blanks a level.
  ///
  /// Doubles are written so that reading gives the same bits; a non-finite double has no JSON form and becomes `null`.
  public func text(indented: Bool = false) -> String {
    var out = ""
    write(to: &out, indented: indented, level: 0)
    return out
  }

  /// The same value with every object's members in order of their keys.
  public var sorted: JSON {
    switch self {
    case .array(let items): .array(items.map(\.sorted))
    case .object(let members):
      .object(members.map { .init($0.key, $0.value.sorted) }.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) })
    default: self
    }
  }

  private func write(to out: inout String, indented: Bool, level: Int) {
    func newLine(_ level: Int) {
      if indented { out += "\n" + String(repeating: "  ", count: level) }
    }
    switch self {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .int(let value): out += String(value)
    case .double(let value): out += value.isFinite ? "\(value)" : "null"
    case .string(let value): Self.write(value, to: &out)
    case .array(let items) where items.isEmpty: out += "[]"
    case .array(let items):
      out += "["
      for (i, item) in items.enumerated() {
        if i > 0 { out += indented ? "," : ", " }
        newLine(level + 1)
        item.write(to: &out, indented: indented, level: level + 1)
      }
      newLine(level)
      out += "]"
    case .object(let members) where members.isEmpty: out += "{}"
    case .object(let members):
      out += "{"
      for (i, member) in members.enumerated() {
        if i > 0 { out += indented ? "," : ", " }
        newLine(level + 1)
        Self.write(member.key, to: &out)
        out += ": "
        member.value.write(to: &out, indented: indented, level: level + 1)
      }
      newLine(level)
      out += "}"
    }
  }

  private static func write(_ text: String, to out: inout String) {
    out += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    out += "\""
  }
}
