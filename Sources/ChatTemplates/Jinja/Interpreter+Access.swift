// Attributes, items, slices and calls, as jinja2 looks them up in Python's values.

extension Interpreter {
  /// `object.name`: what Python calls an attribute comes before a key of that name.
  func attribute(_ name: String, of object: Value, _ line: Int) throws(TemplateError) -> Value {
    switch object {
    case .undefined(let missing):
      throw TemplateError(.conversation, line: line, "'\(missing)' is undefined, and has no `\(name)`")
    case .mapping(let mapping):
      if Methods.ofMappings.contains(name) { return .function("." + name) }
      return mapping[name] ?? .undefined(name)
    case .namespace(let namespace): return namespace.values[name] ?? .undefined(name)
    case .string: return Methods.ofStrings.contains(name) ? .function("." + name) : .undefined(name)
    case .sequence: return Methods.ofLists.contains(name) ? .function("." + name) : .undefined(name)
    default: return .undefined(name)
    }
  }

  /// `object[key]`: a key comes before what Python calls an attribute.
  func item(_ key: Value, of object: Value, _ line: Int) throws(TemplateError) -> Value {
    switch (object, key) {
    case (.undefined(let missing), _):
      throw TemplateError(.conversation, line: line, "'\(missing)' is undefined, and has no items")
    case (.mapping(let mapping), .string(let name)):
      if let value = mapping[name] { return value }
      return try attribute(name, of: object, line)
    case (_, .string(let name)): return try attribute(name, of: object, line)
    case (.sequence(let sequence), _):
      guard sequence.kind != .generator, let index = key.integer else { return .undefined("an item") }
      let place = index < 0 ? index + sequence.items.count : index
      return sequence.items.indices.contains(place) ? sequence.items[place] : .undefined("item \(index)")
    case (.string(let text), _):
      guard let index = key.integer else { return .undefined("an item") }
      let scalars = Array(text.unicodeScalars)
      let place = index < 0 ? index + scalars.count : index
      return scalars.indices.contains(place) ? .string(String(scalars[place])) : .undefined("item \(index)")
    default: return .undefined("an item")
    }
  }

  mutating func slice(
    _ object: Expression, _ start: Expression?, _ stop: Expression?, _ step: Expression?, _ line: Int
  ) throws(TemplateError) -> Value {
    let value = try evaluate(object)
    let bounds = (try bound(start), try bound(stop), try bound(step))
    switch value {
    case .undefined(let name): throw TemplateError(.conversation, line: line, "'\(name)' is undefined, and has no items")
    case .string(let text):
      try charge(text: text, line: line)
      let scalars = Array(text.unicodeScalars)
      var view = String.UnicodeScalarView()
      view.append(contentsOf: try Self.indices(bounds, scalars.count, line).map { scalars[$0] })
      return .string(String(view))
    case .sequence(let sequence) where sequence.kind != .generator:
      try charge(sequence.items.count / 16 + 1, line: line)
      let chosen = try Self.indices(bounds, sequence.items.count, line).map { sequence.items[$0] }
      return .sequence(Value.Sequence(chosen, sequence.kind))
    default: return .undefined("a slice")
    }
  }

  private mutating func bound(_ expression: Expression?) throws(TemplateError) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if case .none = value { return nil }
    guard let index = value.integer else {
      throw TemplateError(.conversation, line: expression.line, "\(value.typeName) is no bound of a slice")
    }
    return index
  }

  /// Python's `range(*slice(…).indices(count))`.
  private static func indices(_ bounds: (Int?, Int?, Int?), _ count: Int, _ line: Int) throws(TemplateError) -> [Int] {
    let step = bounds.2 ?? 1
    guard step != 0, step != .min else { throw TemplateError(.conversation, line: line, "a slice's step is zero") }
    func clamped(_ bound: Int, _ low: Int, _ high: Int) -> Int { min(max(bound < 0 ? bound + count : bound, low), high) }
    let (low, high) = step > 0 ? (0, count) : (-1, count - 1)
    let start = bounds.0.map { clamped(max($0, -count - 1), low, high) } ?? (step > 0 ? low : high)
    let stop = bounds.1.map { clamped(max($0, -count - 1), low, high) } ?? (step > 0 ? high : low)
    // A step wider than the text takes one item at most.
    return Array(stride(from: start, to: stop, by: min(max(step, -count - 1), count + 1)))
  }

  // MARK: Calls

  mutating func call(_ callee: Expression, _ arguments: Arguments, _ line: Int) throws(TemplateError) -> Value {
    if case .attribute(let object, let name) = callee.kind {
      let receiver = try evaluate(object)
      let given = try evaluated(arguments)
      // A key of a namespace may hold a macro.
      if case .namespace(let namespace) = receiver, case .macro(let macro)? = namespace.values[name] {
        return try call(macro, given, line: line)
      }
      let value = try Methods.call(name, on: receiver, given, line: line)
      if case .string(let text) = value { try charge(text: text, line: line) }
      if case .sequence(let sequence) = value { try charge(sequence.items.count / 16 + 1, line: line) }
      return value
    }
    let function = try evaluate(callee)
    let given = try evaluated(arguments)
    switch function {
    // A clock that stands still.
    case .string(let date) where callee.isName("strftime_now"): return .string(date)
    case .macro(let macro): return try call(macro, given, line: line)
    case .function(let name):
      let value = try Functions.call(name, given, line: line)
      if case .sequence(let sequence) = value { try charge(sequence.items.count / 16 + 1, line: line) }
      return value
    case .undefined("strftime_now"):
      throw TemplateError(
        .template, line: line,
        "it asks for the date by `strftime_now`, but what is learned must not depend on the day: give a text as the variable "
          + "`strftime_now`")
    case .undefined(let name): throw TemplateError(.template, line: line, "the function `\(name)` is not supported")
    default: throw TemplateError(.conversation, line: line, "\(function.typeName) cannot be called")
    }
  }
}

extension Expression {
  fileprivate func isName(_ name: String) -> Bool { if case .name(name) = kind { true } else { false } }
}

/// The functions that a template finds.
enum Functions {
  /// There is no clock: a text that depends on the day it is made would be another one tomorrow. Templates that ask whether
  /// `strftime_now` is defined have a date of their own.
  static let names: Set<String> = ["raise_exception", "range", "namespace", "dict"]

  static func call(_ name: String, _ arguments: CallArguments, line: Int) throws(TemplateError) -> Value {
    var arguments = arguments
    switch name {
    case "raise_exception":
      let message = try arguments.take(0, "message", line: line)?.text ?? ""
      throw TemplateError(.conversation, line: line, message.isEmpty ? "the template refuses the conversation" : message)
    case "range": return try range(&arguments, line)
    case "namespace":
      let namespace = Value.Namespace()
      for entry in try entries(&arguments, "namespace", line) {
        if case .namespace = entry.value {
          throw TemplateError(.template, line: line, "a namespace inside another value is not supported")
        }
        namespace.values[entry.key] = entry.value
      }
      return .namespace(namespace)
    case "dict": return .mapping(Value.Mapping(try entries(&arguments, "dict", line)))
    default: throw TemplateError(.template, line: line, "the function `\(name)` is not supported")
    }
  }

  private static func entries(
    _ arguments: inout CallArguments, _ callee: String, _ line: Int
  ) throws(TemplateError) -> [(key: String, value: Value)] {
    var entries: [(key: String, value: Value)] = []
    if case .mapping(let mapping)? = try arguments.take(0, "", line: line) { entries = mapping.entries }
    for argument in arguments.takeNamed() {
      entries.removeAll { $0.key.isSame(as: argument.name) }
      entries.append((argument.name, argument.value))
    }
    try arguments.finish(callee, line: line)
    return entries
  }

  private static func range(_ arguments: inout CallArguments, _ line: Int) throws(TemplateError) -> Value {
    var bounds: [Int] = []
    while let value = try arguments.take(bounds.count, "", line: line) {
      guard let bound = value.integer else {
        throw TemplateError(.conversation, line: line, "range() takes whole numbers, not \(value.typeName)")
      }
      bounds.append(bound)
    }
    try arguments.finish("range", line: line)
    guard (1...3).contains(bounds.count) else { throw TemplateError(.template, line: line, "range() takes 1 to 3 numbers") }
    let (start, stop) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
    let step = bounds.count == 3 ? bounds[2] : 1
    guard step != 0 else { throw TemplateError(.conversation, line: line, "range() with a step of zero") }
    var items: [Value] = []
    for number in stride(from: start, to: stop, by: step) {
      guard items.count < 100_000 else { throw TemplateError(.limit, line: line, "range() of more than 100000 numbers") }
      items.append(.int(number))
    }
    return .list(items)
  }
}
