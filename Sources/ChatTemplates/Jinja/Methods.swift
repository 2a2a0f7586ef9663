/// The methods of Python's values.
enum Methods {
  static let ofMappings: Set<String> = [
    "clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values",
  ]
  static let ofLists: Set<String> = [
    "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort",
  ]
  static let ofStrings: Set<String> = [
    "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find", "format", "format_map", "index",
    "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace",
    "istitle", "isupper", "join", "ljust", "lower", "lstrip", "maketrans", "partition", "removeprefix", "removesuffix",
    "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip",
    "swapcase", "title", "translate", "upper", "zfill",
  ]

  static func call(_ name: String, on receiver: Value, _ arguments: CallArguments, line: Int) throws(TemplateError) -> Value {
    switch receiver {
    case .string(let text): return try call(name, on: text, arguments, line: line)
    case .mapping(let mapping): return try call(name, on: mapping, arguments, line: line)
    case .undefined(let missing):
      throw TemplateError(.conversation, line: line, "'\(missing)' is undefined, and has no `\(name)`")
    case .sequence where ofLists.contains(name):
      throw TemplateError(.template, line: line, "`\(name)` of a list is not supported")
    default: throw TemplateError(.conversation, line: line, "\(receiver.typeName) has no `\(name)`")
    }
  }

  private static func call(
    _ name: String, on mapping: Value.Mapping, _ arguments: CallArguments, line: Int
  ) throws(TemplateError) -> Value {
    var arguments = arguments
    let result: Value
    switch name {
    case "get":
      let key = try arguments.take(0, "key", line: line)
      let standard = try arguments.take(1, "default", line: line) ?? .none
      guard case .string(let key)? = key else { return standard }
      result = mapping[key] ?? standard
    case "items": result = .list(mapping.entries.map { .tuple([.string($0.key), $0.value]) })
    case "keys": result = .list(mapping.entries.map { .string($0.key) })
    case "values": result = .list(mapping.entries.map(\.value))
    case "copy": result = .mapping(mapping)
    default:
      if case .macro? = mapping[name] {
        throw TemplateError(.template, line: line, "a macro in a mapping is not supported")
      }
      throw TemplateError(.template, line: line, "`\(name)` of a mapping is not supported")
    }
    try arguments.finish("`\(name)`", line: line)
    return result
  }

  private static func call(
    _ name: String, on text: String, _ arguments: CallArguments, line: Int
  ) throws(TemplateError) -> Value {
    var arguments = arguments
    func string(_ index: Int, _ argument: String) throws(TemplateError) -> String? {
      switch try arguments.take(index, argument, line: line) {
      case .string(let text)?: return text
      case nil, .some(.none): return nil
      case let other?: throw TemplateError(.conversation, line: line, "`\(name)` takes a string, not \(other.typeName)")
      }
    }
    func needed(_ index: Int, _ argument: String) throws(TemplateError) -> String {
      guard let text = try string(index, argument) else {
        throw TemplateError(.conversation, line: line, "`\(name)` needs a string")
      }
      return text
    }
    func count(_ index: Int, _ argument: String) throws(TemplateError) -> Int? {
      guard let value = try arguments.take(index, argument, line: line) else { return nil }
      guard let count = value.integer else {
        throw TemplateError(.conversation, line: line, "`\(name)` takes a whole number, not \(value.typeName)")
      }
      return count
    }
    let result: Value
    switch name {
    case "strip": result = .string(Strings.stripped(text, of: try string(0, "chars")))
    case "lstrip": result = .string(Strings.stripped(text, of: try string(0, "chars"), .leading))
    case "rstrip": result = .string(Strings.stripped(text, of: try string(0, "chars"), .trailing))
    case "upper": result = .string(text.uppercased())
    case "lower": result = .string(text.lowercased())
    case "capitalize": result = .string(Strings.capitalized(text))
    case "startswith", "endswith":
      let affixes: [Value]
      switch try arguments.take(0, "prefix", line: line) {
      case .sequence(let sequence)? where sequence.kind == .tuple: affixes = sequence.items
      case let value?: affixes = [value]
      case nil: affixes = []
      }
      var found = false
      for affix in affixes {
        guard case .string(let affix) = affix else {
          throw TemplateError(.conversation, line: line, "`\(name)` takes a string, not \(affix.typeName)")
        }
        found = found || (name == "startswith" ? text.utf8.starts(with: affix.utf8) : Strings.ends(text, with: affix))
      }
      result = .bool(found)
    case "split":
      let separator = try string(0, "sep")
      result = try .list(Strings.split(text, separator, try count(1, "maxsplit") ?? -1, line: line).map { .string($0) })
    case "rsplit":
      let separator = try string(0, "sep")
      result = try .list(Strings.splitFromEnd(text, separator, try count(1, "maxsplit") ?? -1, line: line).map { .string($0) })
    case "splitlines": result = .list(Strings.lines(text).map { .string($0) })
    case "replace":
      let (old, new) = (try needed(0, "old"), try needed(1, "new"))
      result = .string(try Strings.replacing(text, old, new, try count(2, "count") ?? -1, line: line))
    case "removeprefix":
      let prefix = try needed(0, "prefix")
      result = .string(text.utf8.starts(with: prefix.utf8) ? Strings.string(text.utf8.dropFirst(prefix.utf8.count)) : text)
    case "removesuffix":
      let suffix = try needed(0, "suffix")
      result = .string(Strings.ends(text, with: suffix) ? Strings.string(text.utf8.dropLast(suffix.utf8.count)) : text)
    case "find": result = .int(Strings.place(of: try needed(0, "sub"), in: text) ?? -1)
    case "count": result = .int(Strings.ranges(of: try needed(0, "sub"), in: Array(text.utf8)).count)
    case "join":
      guard let items = try arguments.take(0, "iterable", line: line).flatMap(Iteration.items) else {
        throw TemplateError(.conversation, line: line, "`join` needs something to go through")
      }
      var parts: [String] = []
      for item in items {
        guard case .string(let part) = item else {
          throw TemplateError(.conversation, line: line, "`join` takes strings, not \(item.typeName)")
        }
        parts.append(part)
      }
      result = .string(parts.joined(separator: text))
    default: throw TemplateError(.template, line: line, "`\(name)` of a string is not supported")
    }
    try arguments.finish("`\(name)`", line: line)
    return result
  }
}

/// Python's operations on strings, code point by code point.
enum Strings {
  enum Side: Sendable {
    case both
    case leading
    case trailing
  }

  static func string(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

  static func ends(_ text: String, with suffix: String) -> Bool {
    text.utf8.count >= suffix.utf8.count && text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
  }

  static func contains(_ text: String, _ part: String) -> Bool {
    part.isEmpty || !ranges(of: part, in: Array(text.utf8), limit: 1).isEmpty
  }

  /// Without the characters in `set`, or without white space, at its ends.
  static func stripped(_ text: String, of set: String? = nil, _ side: Side = .both) -> String {
    let chosen = set.map { Set($0.unicodeScalars) }
    func goes(_ scalar: Unicode.Scalar) -> Bool { chosen.map { $0.contains(scalar) } ?? PythonText.isSpace(scalar) }
    var view = text.unicodeScalars[...]
    if side != .trailing { view = view.drop(while: goes) }
    if side != .leading { while let last = view.last, goes(last) { view.removeLast() } }
    return String(String.UnicodeScalarView(view))
  }

  static func capitalized(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    let rest = String(String.UnicodeScalarView(text.unicodeScalars.dropFirst()))
    return first.properties.titlecaseMapping + rest.lowercased()
  }

  /// Where a part stands, left to right and never overlapping, in bytes; an empty part stands nowhere.
  static func ranges(of part: String, in bytes: [UInt8], limit: Int = .max) -> [Range<Int>] {
    let part = Array(part.utf8)
    guard let first = part.first, part.count <= bytes.count else { return [] }
    var ranges: [Range<Int>] = []
    var at = 0
    while at + part.count <= bytes.count, ranges.count < limit {
      if bytes[at] == first, bytes[at..<at + part.count].elementsEqual(part) {
        ranges.append(at..<at + part.count)
        at += part.count
      } else {
        at += 1
      }
    }
    return ranges
  }

  /// Where a part first stands, in code points.
  static func place(of part: String, in text: String) -> Int? {
    if part.isEmpty { return 0 }
    let bytes = Array(text.utf8)
    return ranges(of: part, in: bytes, limit: 1).first.map { string(bytes[..<$0.lowerBound]).unicodeScalars.count }
  }

  static func replacing(
    _ text: String, _ old: String, _ new: String, _ count: Int, line: Int
  ) throws(TemplateError) -> String {
    guard !old.isEmpty else { throw TemplateError(.template, line: line, "replacing nothing is not supported") }
    let bytes = Array(text.utf8)
    let ranges = ranges(of: old, in: bytes, limit: count < 0 ? .max : count)
    guard ranges.count.multipliedReportingOverflow(by: new.utf8.count).partialValue <= Interpreter.maximumText else {
      throw TemplateError(.limit, line: line, "a text grows too long")
    }
    var out: [UInt8] = []
    var at = 0
    for range in ranges {
      out += bytes[at..<range.lowerBound]
      out += new.utf8
      at = range.upperBound
    }
    return string(out + bytes[at...])
  }

  static func split(_ text: String, _ separator: String?, _ count: Int, line: Int) throws(TemplateError) -> [String] {
    guard let separator else {
      guard count < 0 else { throw TemplateError(.template, line: line, "splitting at white space has no limit here") }
      return text.unicodeScalars.split(whereSeparator: PythonText.isSpace).map { String(String.UnicodeScalarView($0)) }
    }
    guard !separator.isEmpty else { throw TemplateError(.conversation, line: line, "empty separator") }
    let bytes = Array(text.utf8)
    return parts(bytes, ranges(of: separator, in: bytes, limit: count < 0 ? .max : count))
  }

  static func splitFromEnd(_ text: String, _ separator: String?, _ count: Int, line: Int) throws(TemplateError) -> [String] {
    guard let separator, count >= 0 else { return try split(text, separator, count, line: line) }
    guard !separator.isEmpty else { throw TemplateError(.conversation, line: line, "empty separator") }
    let bytes = Array(text.utf8)
    // From the end, where separators overlap others are met than from the beginning.
    let backwards = ranges(of: string(separator.utf8.reversed()), in: bytes.reversed(), limit: count)
    guard separator.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw TemplateError(.template, line: line, "`rsplit` takes a separator of plain letters")
    }
    return parts(bytes, backwards.reversed().map { bytes.count - $0.upperBound..<bytes.count - $0.lowerBound })
  }

  private static func parts(_ bytes: [UInt8], _ cuts: [Range<Int>]) -> [String] {
    var parts: [String] = []
    var at = 0
    for cut in cuts {
      parts.append(string(bytes[at..<cut.lowerBound]))
      at = cut.upperBound
    }
    return parts + [string(bytes[at...])]
  }

  static func lines(_ text: String) -> [String] {
    var lines: [String] = []
    var line = String.UnicodeScalarView()
    var last: Unicode.Scalar?
    for scalar in text.unicodeScalars {
      defer { last = scalar }
      if scalar == "\n", last == "\r" { continue }
      if PythonText.endsLine(scalar) {
        lines.append(String(line))
        line = String.UnicodeScalarView()
      } else {
        line.append(scalar)
      }
    }
    return line.isEmpty ? lines : lines + [String(line)]
  }
}
