// How Python writes values: `str`, `repr` and `json.dumps`.

extension Value {
  /// `str(value)`, as `{{ … }}` prints it; nil for what no honest template prints.
  var text: String? {
    switch self {
    case .undefined: ""
    case .string(let value): value
    default: representation
    }
  }

  /// `repr(value)`.
  var representation: String? {
    switch self {
    case .undefined: return "Undefined"
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .int(let value): return String(value)
    case .float(let value): return PythonText.float(value)
    case .string(let value): return PythonText.quoted(value)
    case .sequence(let sequence):
      let items = sequence.items.compactMap(\.representation)
      guard items.count == sequence.items.count else { return nil }
      switch sequence.kind {
      case .list: return "[\(items.joined(separator: ", "))]"
      case .tuple: return "(\(items.joined(separator: ", "))\(items.count == 1 ? "," : ""))"
      case .generator: return nil
      }
    case .mapping(let mapping):
      let items = mapping.entries.compactMap { entry in
        entry.value.representation.map { PythonText.quoted(entry.key) + ": " + $0 }
      }
      return items.count == mapping.entries.count ? "{\(items.joined(separator: ", "))}" : nil
    case .namespace, .macro, .function: return nil
    }
  }
}

enum PythonText {
  static func float(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    // Swift's digits are the shortest, as Python's; where the exponent begins is not the same.
    let parts = value.magnitude.description.split(whereSeparator: { $0 == "e" || $0 == "E" })
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let whole = mantissa[0]
    let fraction = mantissa.count > 1 ? String(mantissa[1]) : ""
    var digits = (whole + fraction).drop { $0 == "0" }
    // The value is 0.digits · 10^point.
    var point = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) + whole.count - (whole.count + fraction.count - digits.count)
    while digits.last == "0" { digits.removeLast() }
    if digits.isEmpty { (digits, point) = ("0", 1) }
    let sign = value.sign == .minus ? "-" : ""
    if point > 16 || point < -3 {
      let exponent = point - 1
      let size = String(exponent.magnitude)
      let rest = digits.dropFirst()
      return sign + digits.prefix(1) + (rest.isEmpty ? "" : "." + rest) + "e" + (exponent < 0 ? "-" : "+")
        + (size.count < 2 ? "0" + size : size)
    }
    if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
    let zeros = String(repeating: "0", count: max(0, point - digits.count))
    let behind = digits.dropFirst(point)
    return sign + digits.prefix(point) + zeros + "." + (behind.isEmpty ? "0" : behind)
  }

  /// A string in Python's quotes.
  static func quoted(_ text: String) -> String {
    let quote: Unicode.Scalar = text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
    var out = String.UnicodeScalarView()
    out.append(quote)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\", quote:
        out.append("\\")
        out.append(scalar)
      case "\n": out.append(contentsOf: "\\n".unicodeScalars)
      case "\r": out.append(contentsOf: "\\r".unicodeScalars)
      case "\t": out.append(contentsOf: "\\t".unicodeScalars)
      default:
        if isPrintable(scalar) {
          out.append(scalar)
        } else {
          let (mark, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
          out.append(contentsOf: "\\\(mark)\(hexadecimal(scalar.value, width))".unicodeScalars)
        }
      }
    }
    out.append(quote)
    return String(out)
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == " " { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  static func hexadecimal(_ value: UInt32, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  /// Whether Python's `str.isspace` holds: what `strip` takes away.
  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  /// Whether `str.splitlines` ends a line there.
  static func endsLine(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }
}

/// `json.dumps` with Python's separators and without escapes beyond JSON's own, as chat templates' `tojson` has it.
struct PythonJSON {
  /// What a level is moved in by; nil for one line.
  var indent: String?
  var itemSeparator = ", "
  var keySeparator = ": "
  var sortsKeys = false
  var escapesNonASCII = false

  /// Nil for a value that is no JSON.
  func text(_ value: Value, level: Int = 0) -> String? {
    switch value {
    case .none: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .int(let value): return String(value)
    case .float(let value):
      return value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : PythonText.float(value)
    case .string(let text): return quoted(text)
    case .sequence(let sequence):
      guard sequence.kind != .generator else { return nil }
      let items = sequence.items.compactMap { text($0, level: level + 1) }
      return items.count == sequence.items.count ? enclosed(items, "[", "]", level) : nil
    case .mapping(let mapping):
      var entries = mapping.entries
      if sortsKeys { entries.sort { $0.key.unicodeScalars.lexicographicallyPrecedes($1.key.unicodeScalars) } }
      let items = entries.compactMap { entry in
        text(entry.value, level: level + 1).map { quoted(entry.key) + keySeparator + $0 }
      }
      return items.count == entries.count ? enclosed(items, "{", "}", level) : nil
    case .undefined, .namespace, .macro, .function: return nil
    }
  }

  private func enclosed(_ items: [String], _ open: String, _ close: String, _ level: Int) -> String {
    guard let indent, !items.isEmpty else { return open + items.joined(separator: itemSeparator) + close }
    let inner = "\n" + String(repeating: indent, count: level + 1)
    return open + inner + items.joined(separator: itemSeparator + inner) + "\n" + String(repeating: indent, count: level) + close
  }

  private func quoted(_ text: String) -> String {
    var out = String.UnicodeScalarView()
    out.append("\"")
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\":
        out.append("\\")
        out.append(scalar)
      case "\n": out.append(contentsOf: "\\n".unicodeScalars)
      case "\r": out.append(contentsOf: "\\r".unicodeScalars)
      case "\t": out.append(contentsOf: "\\t".unicodeScalars)
      case "\u{8}": out.append(contentsOf: "\\b".unicodeScalars)
      case "\u{C}": out.append(contentsOf: "\\f".unicodeScalars)
      default:
        guard scalar.value < 0x20 || (escapesNonASCII && scalar.value > 0x7E) else {
          out.append(scalar)
          continue
        }
        for unit in String(scalar).utf16 {
          out.append(contentsOf: "\\u\(PythonText.hexadecimal(UInt32(unit), 4))".unicodeScalars)
        }
      }
    }
    out.append("\"")
    return String(out)
  }
}
