extension YAMLNode {
  /// The node as block YAML that ``parse(_:file:)-(String,_)`` reads back equal.
  ///
  /// Strings stand without quotes where no reader, of YAML 1.1 or 1.2, could take them for something else.
  public func yaml() -> String {
    var writer = YAMLWriter()
    writer.write(self, indent: 0, after: .lineStart)
    return writer.out
  }
}

private struct YAMLWriter {
  var out = ""

  /// What stands on the line already, which decides whether a block may go on there.
  enum Place {
    case lineStart
    case key
    case dash
  }

  mutating func write(_ node: YAMLNode, indent: Int, after place: Place) {
    switch node.kind {
    case .scalar(let text, let style):
      if place == .key { out += " " }
      out += Self.scalar(text, style) + "\n"
    case .sequence(let items) where items.isEmpty: out += place == .key ? " []\n" : "[]\n"
    case .mapping(let entries) where entries.isEmpty: out += place == .key ? " {}\n" : "{}\n"
    case .sequence(let items):
      if place == .key { out += "\n" }
      for (i, item) in items.enumerated() {
        if i > 0 || place != .dash { pad(indent) }
        out += "- "
        write(item, indent: indent + 1, after: .dash)
      }
    case .mapping(let entries):
      if place == .key { out += "\n" }
      for (i, entry) in entries.enumerated() {
        if i > 0 || place != .dash { pad(indent) }
        write(entry, indent: indent)
      }
    }
  }

  private mutating func write(_ entry: YAMLNode.Entry, indent: Int) {
    guard case .scalar(let text, let style) = entry.key.kind else { return }
    let key = Self.scalar(text, style)
    if key.utf8.count > 1000 {
      // YAML bounds keys of the short form to 1024 characters.
      out += "? \(key)\n"
      pad(indent)
      out += ":"
    } else {
      out += "\(key):"
    }
    write(entry.value, indent: indent + 1, after: .key)
  }

  private mutating func pad(_ indent: Int) {
    out += String(repeating: "  ", count: indent)
  }

  // MARK: Scalars

  static func scalar(_ text: String, _ style: YAMLNode.Style) -> String {
    if style == .plain {
      switch YAMLScalar(plain: text) {
      case .null: return "null"
      case .bool, .int, .double: return text
      case .string: break
      }
    }
    return isSafePlain(text) ? text : quoted(text)
  }

  /// Words that YAML 1.1 readers take for truth values.
  private static let words: Set = ["y", "n", "yes", "no", "on", "off", "null", "true", "false"]

  private static func isSafePlain(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, let last = bytes.last, !words.contains(text.lowercased()) else { return false }
    // Not a digit, sign or point: some reader has a number, a date or a time of that form. Paths may start with points.
    guard isLetter(first) || first == UInt8(ascii: "/") || text.hasPrefix("./") || text.hasPrefix("../") else { return false }
    guard last != UInt8(ascii: " "), last != UInt8(ascii: ":") else { return false }
    return bytes.indices.allSatisfy { i in
      switch bytes[i] {
      case let b where isLetter(b): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: ":"): bytes[i + 1] != UInt8(ascii: " ")
      case let b: " -./+=()@^$;*|".utf8.contains(b)
      }
    }
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      // Controls, line breaks of Unicode, and what YAML does not allow in a text.
      case "\0"..<" ", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}", "\u{FEFF}", "\u{FFFE}", "\u{FFFF}":
        let hex = String(scalar.value, radix: 16, uppercase: true)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
