/// jinja2's filters, as far as chat templates use them.
enum Filters {
  static let names: Set<String> = [
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "indent", "int", "items", "join", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "safe", "select",
    "selectattr", "sort", "string", "sum", "title", "tojson", "trim", "unique", "upper",
  ]
}

extension Interpreter {
  mutating func apply(
    _ name: String, to value: Value, _ arguments: Arguments, line: Int
  ) throws(TemplateError) -> Value {
    var given = try evaluated(arguments)
    let result: Value
    switch name {
    case "map", "select", "reject", "selectattr", "rejectattr":
      result = .generator(try chosen(name, value, &given, line))
    case "tojson": result = .string(try json(value, &given, line))
    default: result = try Filters.applied(name, to: value, &given, line)
    }
    try given.finish("the filter `\(name)`", line: line)
    switch result {
    case .string(let text): try charge(text: text, line: line)
    case .sequence(let sequence): try charge(sequence.items.count / 16 + 1, line: line)
    default: break
    }
    return result
  }

  private func json(_ value: Value, _ given: inout CallArguments, _ line: Int) throws(TemplateError) -> String {
    var writer = PythonJSON()
    writer.escapesNonASCII = try given.take(0, "ensure_ascii", line: line)?.isTrue ?? false
    switch try given.take(1, "indent", line: line) {
    case .int(let count)? where (0...64).contains(count):
      (writer.indent, writer.itemSeparator) = (String(repeating: " ", count: count), ",")
    case .string(let text)?: (writer.indent, writer.itemSeparator) = (text, ",")
    case nil, .some(.none): break
    case let other?: throw TemplateError(.template, line: line, "tojson cannot be indented by \(other.typeName)")
    }
    if case .sequence(let pair)? = try given.take(2, "separators", line: line) {
      guard pair.items.count == 2, case .string(let item) = pair.items[0], case .string(let key) = pair.items[1] else {
        throw TemplateError(.template, line: line, "separators of tojson are two strings")
      }
      (writer.itemSeparator, writer.keySeparator) = (item, key)
    }
    writer.sortsKeys = try given.take(3, "sort_keys", line: line)?.isTrue ?? false
    guard let text = writer.text(value) else {
      throw TemplateError(.conversation, line: line, "\(value.typeName) cannot be written as JSON")
    }
    return text
  }

  /// The filters that look at every item.
  private mutating func chosen(
    _ name: String, _ value: Value, _ given: inout CallArguments, _ line: Int
  ) throws(TemplateError) -> [Value] {
    let items = try Filters.items(of: value, name, line)
    func word(_ index: Int, _ argument: String) throws(TemplateError) -> String? {
      guard let value = try given.take(index, argument, line: line) else { return nil }
      guard case .string(let word) = value else {
        throw TemplateError(.template, line: line, "the filter `\(name)` takes names in quotes")
      }
      return word
    }
    if name == "map" {
      if let path = try word(-1, "attribute") {
        let standard = try given.take(-1, "default", line: line)
        var mapped: [Value] = []
        for item in items {
          let found = try member(path, of: item, line)
          mapped.append(found.isUndefined ? standard ?? found : found)
        }
        return mapped
      }
      guard let filter = try word(0, "filter"), Filters.names.contains(filter), filter != "map" else {
        throw TemplateError(.template, line: line, "`map` needs an attribute or the name of a filter that is known here")
      }
      var mapped: [Value] = []
      for item in items { mapped.append(try apply(filter, to: item, .none, line: line)) }
      return mapped
    }
    let path = name.hasSuffix("attr") ? try word(0, "attribute") ?? "" : nil
    let first = path == nil ? 0 : 1
    let test = try word(first, "test")
    if let test, !Tests.names.contains(test) {
      throw TemplateError(.template, line: line, "the test `\(test)` is not supported")
    }
    let argument = try given.take(first + 1, "other", line: line)
    let wanted = name.hasPrefix("select")
    var kept: [Value] = []
    for item in items {
      let looked = try path.map { (path) throws(TemplateError) in try member(path, of: item, line) } ?? item
      let passes = try test.map { (test) throws(TemplateError) in
        try Tests.passes(test, looked, CallArguments(argument.map { [$0] } ?? []), line: line)
      }
      if (passes ?? looked.isTrue) == wanted { kept.append(item) }
    }
    return kept
  }

  /// `a.b` of a value, by keys and indices.
  func member(_ path: String, of value: Value, _ line: Int) throws(TemplateError) -> Value {
    var found = value
    for part in path.split(separator: ".") {
      let key = Int(part).map { Value.int($0) } ?? .string(String(part))
      found = try item(key, of: found, line)
    }
    return found
  }
}

extension Filters {
  static func items(of value: Value, _ name: String, _ line: Int) throws(TemplateError) -> [Value] {
    guard let items = Iteration.items(of: value) else {
      throw TemplateError(.conversation, line: line, "the filter `\(name)` cannot go through \(value.typeName)")
    }
    return items
  }

  /// What `soft_str` makes of a value.
  private static func text(_ value: Value, _ name: String, _ line: Int) throws(TemplateError) -> String {
    guard let text = value.text else {
      throw TemplateError(.template, line: line, "the filter `\(name)` does not go with \(value.typeName)")
    }
    return text
  }

  static func applied(
    _ name: String, to value: Value, _ given: inout CallArguments, _ line: Int
  ) throws(TemplateError) -> Value {
    switch name {
    case "trim":
      let set = try given.take(0, "chars", line: line)
      return .string(
        Strings.stripped(
          try text(value, name, line), of: try set.map { (set) throws(TemplateError) in try text(set, name, line) }))
    case "upper": return .string(try text(value, name, line).uppercased())
    case "lower": return .string(try text(value, name, line).lowercased())
    case "capitalize": return .string(Strings.capitalized(try text(value, name, line)))
    case "title": return .string(title(try text(value, name, line)))
    case "string", "safe": return .string(try text(value, name, line))
    case "replace":
      guard let old = try given.take(0, "old", line: line), let new = try given.take(1, "new", line: line) else {
        throw TemplateError(.template, line: line, "`replace` needs two strings")
      }
      let count = try given.take(2, "count", line: line)?.integer ?? -1
      return .string(
        try Strings.replacing(
          try text(value, name, line), try text(old, name, line), try text(new, name, line), count, line: line))
    case "indent": return .string(try indented(try text(value, name, line), &given, line))
    case "join":
      let separator = try given.take(0, "d", line: line).map { (it) throws(TemplateError) in try text(it, name, line) } ?? ""
      let attribute = try given.take(1, "attribute", line: line)
      guard attribute == nil else { throw TemplateError(.template, line: line, "`join` by an attribute is not supported") }
      var parts: [String] = []
      for item in try items(of: value, name, line) { parts.append(try text(item, name, line)) }
      return .string(parts.joined(separator: separator))
    case "default", "d":
      let standard = try given.take(0, "default_value", line: line) ?? .string("")
      let isStrict = try given.take(1, "boolean", line: line)?.isTrue ?? false
      return value.isUndefined || (isStrict && !value.isTrue) ? standard : value
    case "length", "count": return .int(try length(of: value, line))
    case "list": return .list(try items(of: value, name, line))
    case "first": return try items(of: value, name, line).first ?? .undefined("the first item")
    case "last":
      if case .sequence(let sequence) = value, sequence.kind == .generator { throw noLength(value, line) }
      return try items(of: value, name, line).last ?? .undefined("the last item")
    case "reverse":
      if case .string(let text) = value {
        return .string(String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
      }
      return .generator(try items(of: value, name, line).reversed())
    case "items":
      if value.isUndefined { return .generator([]) }
      guard case .mapping(let mapping) = value else {
        throw TemplateError(.conversation, line: line, "`items` needs a mapping, not \(value.typeName)")
      }
      return .generator(mapping.entries.map { .tuple([.string($0.key), $0.value]) })
    case "dictsort":
      guard case .mapping(let mapping) = value else {
        throw TemplateError(.conversation, line: line, "`dictsort` needs a mapping, not \(value.typeName)")
      }
      let sorted = mapping.entries.enumerated().sorted {
        let (a, b) = ($0.element.key.lowercased(), $1.element.key.lowercased())
        return a.isSame(as: b) ? $0.offset < $1.offset : a.unicodeScalars.lexicographicallyPrecedes(b.unicodeScalars)
      }
      return .list(sorted.map { .tuple([.string($0.element.key), $0.element.value]) })
    case "unique": return .generator(try unique(try items(of: value, name, line)))
    case "sort", "min", "max": return try ordered(name, try items(of: value, name, line), &given, line)
    case "sum": return try sum(of: try items(of: value, name, line), line)
    case "abs":
      if let whole = value.integer, whole != .min { return .int(abs(whole)) }
      guard case .float(let number) = value else { throw TemplateError(.conversation, line: line, "`abs` needs a number") }
      return .float(abs(number))
    case "int", "float": return try number(name, value, &given, line)
    default: throw TemplateError(.template, line: line, "the filter `\(name)` is not supported")
    }
  }

  private static func noLength(_ value: Value, _ line: Int) -> TemplateError {
    TemplateError(.conversation, line: line, "\(value.typeName) has no length")
  }

  private static func length(of value: Value, _ line: Int) throws(TemplateError) -> Int {
    switch value {
    case .undefined: return 0
    case .string(let text): return text.unicodeScalars.count
    case .sequence(let sequence) where sequence.kind != .generator: return sequence.items.count
    case .mapping(let mapping): return mapping.entries.count
    default: throw noLength(value, line)
    }
  }

  /// Words begin behind white space and `-([{<`.
  private static func title(_ text: String) -> String {
    var out = ""
    var word = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      guard PythonText.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar) else {
        word.append(scalar)
        continue
      }
      out += Strings.upperFirst(String(word))
      out.unicodeScalars.append(scalar)
      word = String.UnicodeScalarView()
    }
    return out + Strings.upperFirst(String(word))
  }

  private static func indented(_ text: String, _ given: inout CallArguments, _ line: Int) throws(TemplateError) -> String {
    var indent = "    "
    switch try given.take(0, "width", line: line) {
    case .int(let width)? where (0...256).contains(width): indent = String(repeating: " ", count: width)
    case .string(let text)?: indent = text
    case nil: break
    case let other?: throw TemplateError(.template, line: line, "`indent` by \(other.typeName) is not supported")
    }
    let isFirst = try given.take(1, "first", line: line)?.isTrue ?? false
    let isBlank = try given.take(2, "blank", line: line)?.isTrue ?? false
    let lines = Strings.lines(text + "\n")
    let rest = lines.dropFirst().map { isBlank || !$0.isEmpty ? indent + $0 : $0 }
    return (isFirst ? indent : "") + ([lines.first ?? ""] + rest).joined(separator: "\n")
  }

  private static func unique(_ items: [Value]) throws(TemplateError) -> [Value] {
    func key(_ value: Value) -> Value { if case .string(let text) = value { .string(text.lowercased()) } else { value } }
    var kept: [Value] = []
    for item in items where !kept.contains(where: { Value.areEqual(key($0), key(item)) }) {
      guard kept.count < 1000 else { throw TemplateError(.limit, "`unique` of more than 1000 items") }
      kept.append(item)
    }
    return kept
  }

  private static func ordered(
    _ name: String, _ items: [Value], _ given: inout CallArguments, _ line: Int
  ) throws(TemplateError) -> Value {
    guard given.isEmpty else { throw TemplateError(.template, line: line, "`\(name)` takes no arguments here") }
    // Letters count the same, large or small.
    let keyed = items.map { item -> (key: Value, item: Value) in
      if case .string(let text) = item { return (.string(text.lowercased()), item) }
      return (item, item)
    }
    var failed = false
    let sorted = keyed.enumerated().sorted { a, b in
      guard let isLess = Value.isLess(a.element.key, b.element.key) else {
        failed = true
        return a.offset < b.offset
      }
      return isLess || (Value.areEqual(a.element.key, b.element.key) && a.offset < b.offset)
    }.map(\.element)
    guard !failed else { throw TemplateError(.conversation, line: line, "`\(name)` cannot order values of several types") }
    switch name {
    case "sort": return .list(sorted.map(\.item))
    case "min": return sorted.first?.item ?? .undefined("the least item")
    default:
      let last = sorted.last
      return last.flatMap { last in sorted.first { Value.areEqual($0.key, last.key) }?.item } ?? .undefined("the largest item")
    }
  }

  private static func sum(of items: [Value], _ line: Int) throws(TemplateError) -> Value {
    var (whole, real, isReal) = (0, 0.0, false)
    for item in items {
      guard let number = item.number else {
        throw TemplateError(.conversation, line: line, "`sum` needs numbers, not \(item.typeName)")
      }
      let (next, overflow) = whole.addingReportingOverflow(item.integer ?? 0)
      guard !overflow else { throw TemplateError(.limit, line: line, "a number grows too large") }
      (whole, real) = (next, real + number)
      if item.integer == nil { isReal = true }
    }
    return isReal ? .float(real) : .int(whole)
  }

  private static func number(
    _ name: String, _ value: Value, _ given: inout CallArguments, _ line: Int
  ) throws(TemplateError) -> Value {
    let standard = try given.take(0, "default", line: line) ?? (name == "int" ? .int(0) : .float(0))
    var read = value.number
    if case .string(let text) = value { read = Double(Strings.stripped(text)) }
    if name == "float" { return read.map { .float($0) } ?? standard }
    if let whole = value.integer { return .int(whole) }
    if case .string(let text) = value, let whole = Int(Strings.stripped(text)) { return .int(whole) }
    guard let read, let whole = Int(exactly: read.rounded(.towardZero)) else { return standard }
    return .int(whole)
  }
}

extension Strings {
  /// The first letter large, the others small.
  static func upperFirst(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    return String(first).uppercased() + String(String.UnicodeScalarView(text.unicodeScalars.dropFirst())).lowercased()
  }
}

/// jinja2's tests, as far as chat templates use them.
enum Tests {
  static let names: Set<String> = [
    "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "gt", "in", "integer", "iterable",
    "le", "lower", "lt", "mapping", "ne", "none", "number", "odd", "sequence", "string", "true", "undefined", "upper",
  ]

  static func passes(_ name: String, _ value: Value, _ given: CallArguments, line: Int) throws(TemplateError) -> Bool {
    var given = given
    func other() throws(TemplateError) -> Value {
      guard let value = try given.take(0, "other", line: line) else {
        throw TemplateError(.template, line: line, "the test `\(name)` needs a value to compare with")
      }
      return value
    }
    let result: Bool
    switch name {
    case "defined": result = !value.isUndefined
    case "undefined": result = value.isUndefined
    case "none": if case .none = value { result = true } else { result = false }
    case "true": if case .bool(true) = value { result = true } else { result = false }
    case "false": if case .bool(false) = value { result = true } else { result = false }
    case "boolean": if case .bool = value { result = true } else { result = false }
    case "string": if case .string = value { result = true } else { result = false }
    case "integer": if case .int = value { result = true } else { result = false }
    case "float": if case .float = value { result = true } else { result = false }
    case "number": result = value.number != nil
    case "mapping": if case .mapping = value { result = true } else { result = false }
    case "iterable": result = Iteration.items(of: value) != nil
    case "sequence":
      switch value {
      case .undefined, .string, .mapping: result = true
      case .sequence(let sequence): result = sequence.kind != .generator
      default: result = false
      }
    case "even", "odd", "divisibleby":
      let divisor = name == "divisibleby" ? try other().integer ?? 0 : 2
      guard let whole = value.integer, divisor != 0, divisor != -1 else {
        throw TemplateError(.conversation, line: line, "the test `\(name)` needs whole numbers")
      }
      result = (whole % divisor == 0) == (name != "odd")
    case "lower", "upper":
      guard case .string(let text) = value else {
        result = false
        break
      }
      let changed = name == "lower" ? text.lowercased() : text.uppercased()
      result = text.isSame(as: changed) && !text.lowercased().isSame(as: text.uppercased())
    case "eq", "equalto": result = Value.areEqual(value, try other())
    case "ne": result = !Value.areEqual(value, try other())
    case "lt": result = try Interpreter.holds(value, .less, try other(), line)
    case "le": result = try Interpreter.holds(value, .lessOrEqual, try other(), line)
    case "gt": result = try Interpreter.holds(value, .greater, try other(), line)
    case "ge": result = try Interpreter.holds(value, .greaterOrEqual, try other(), line)
    case "in": result = try Interpreter.holds(value, .isIn, try other(), line)
    default: throw TemplateError(.template, line: line, "the test `\(name)` is not supported")
    }
    try given.finish("the test `\(name)`", line: line)
    return result
  }
}
