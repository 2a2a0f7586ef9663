/// Runs a template once. A stranger wrote the template and another the conversation: steps, memory and depth have limits.
struct Interpreter {
  /// Evaluated expressions, and text and items handled, 64 bytes or 16 items for one. Honest templates take some dozens a message.
  static let maximumWork = 2_000_000
  static let maximumDepth = 160
  static let maximumText = 1 << 26

  /// Names and their values, the outermost scope first.
  private var scopes: [[String: Value]]
  /// What is being written: the text itself, and inside it what is captured or returned by macros.
  private var buffers = [""]
  private var work = 0
  private var depth = 0
  private var macroDepth = 0
  /// The message whose loop is running, where its text goes out directly.
  private var isInMessage = false

  /// Where the text of every message stands, in bytes of UTF-8, by its index.
  private(set) var messages: [Int: [Range<Int>]] = [:]
  /// What stands in `{% generation %}` blocks.
  private(set) var generations: [Range<Int>] = []

  private enum Flow {
    case goOn
    case breakLoop
    case continueLoop
  }

  init(variables: [String: Value]) { scopes = [variables] }

  /// The template's text.
  mutating func run(_ statements: [Statement]) throws(TemplateError) -> String {
    _ = try execute(statements)
    return buffers[0]
  }

  // MARK: Limits

  mutating func charge(_ amount: Int, line: Int) throws(TemplateError) {
    work += amount
    guard work <= Self.maximumWork else { throw TemplateError(.limit, line: line, "rendering takes too many steps") }
  }

  mutating func charge(text: String, line: Int) throws(TemplateError) {
    guard text.utf8.count <= Self.maximumText else { throw TemplateError(.limit, line: line, "a text grows too long") }
    try charge(text.utf8.count / 64 + 1, line: line)
  }

  mutating func descend(_ line: Int) throws(TemplateError) {
    depth += 1
    guard depth <= Self.maximumDepth else { throw TemplateError(.limit, line: line, "expressions and blocks lie too deep") }
  }

  mutating func ascend() { depth -= 1 }

  // MARK: Names

  func value(of name: String) -> Value? {
    for scope in scopes.reversed() {
      if let value = scope[name] { return value }
    }
    return nil
  }

  private mutating func define(_ name: String, _ value: Value) { scopes[scopes.count - 1][name] = value }

  private mutating func assign(_ target: Statement.Assignee, _ value: Value, line: Int) throws(TemplateError) {
    switch target {
    case .name(let name): define(name, value)
    case .names(let names):
      guard let items = Iteration.items(of: value) else {
        throw TemplateError(.conversation, line: line, "\(value.typeName) cannot be divided into \(names.count) values")
      }
      guard items.count == names.count else {
        throw TemplateError(.conversation, line: line, "\(items.count) values do not go into \(names.count) names")
      }
      for (name, item) in zip(names, items) { define(name, item) }
    case .attribute(let object, let name):
      guard case .namespace(let namespace)? = self.value(of: object) else {
        throw TemplateError(.conversation, line: line, "`\(object)` is no namespace: only those have values that can be set")
      }
      namespace.values[name] = try storable(value, line: line)
    }
  }

  /// Refuses what would be another value when it is read a second time, and what could lead back to itself.
  func storable(_ value: Value, line: Int) throws(TemplateError) -> Value {
    switch value {
    case .namespace: throw TemplateError(.template, line: line, "a namespace inside another value is not supported")
    case .sequence(let sequence) where sequence.kind == .generator:
      throw TemplateError(.template, line: line, "the result of a filter that gives items one by one is kept: add `| list`")
    default: return value
    }
  }

  // MARK: Statements

  private mutating func execute(_ statements: [Statement]) throws(TemplateError) -> Flow {
    for statement in statements {
      let flow = try execute(statement)
      guard case .goOn = flow else { return flow }
    }
    return .goOn
  }

  private mutating func execute(_ statement: Statement) throws(TemplateError) -> Flow {
    try descend(0)
    defer { ascend() }
    switch statement {
    case .text(let text): try write(text, line: 0)
    case .output(let expression):
      let value = try evaluate(expression)
      guard let text = value.text else {
        throw TemplateError(.template, line: expression.line, "\(value.typeName) cannot be put out")
      }
      try write(text, line: expression.line)
    case .branch(let branches, let otherwise):
      for branch in branches where try evaluate(branch.condition).isTrue { return try execute(branch.body) }
      return try execute(otherwise)
    case .loop(let loop): try run(loop)
    case .assign(let target, let expression, let line):
      let value = try evaluate(expression)
      if case .namespace = value, case .name = target {
        try assign(target, value, line: line)
      } else {
        try assign(target, try storable(value, line: line), line: line)
      }
    case .capture(let target, let filters, let body, let line):
      var value = Value.string(try captured(body))
      for filter in filters { value = try apply(filter.name, to: value, filter.arguments, line: filter.line) }
      try assign(target, try storable(value, line: line), line: line)
    case .macro(let macro): define(macro.name, .macro(macro))
    case .generation(let body):
      guard buffers.count == 1 else {
        throw TemplateError(.template, "{% generation %} inside a macro or a captured text is not supported")
      }
      let start = buffers[0].utf8.count
      scopes.append([:])
      let flow = try execute(body)
      scopes.removeLast()
      generations.append(start..<buffers[0].utf8.count)
      return flow
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    }
    return .goOn
  }

  private mutating func write(_ text: String, line: Int) throws(TemplateError) {
    try charge(text: text, line: line)
    buffers[buffers.count - 1] += text
    guard buffers[buffers.count - 1].utf8.count <= Self.maximumText else {
      throw TemplateError(.limit, line: line, "the text grows longer than \(Self.maximumText >> 20) MiB")
    }
  }

  /// What statements write, in a scope of their own.
  private mutating func captured(_ body: [Statement]) throws(TemplateError) -> String {
    buffers.append("")
    scopes.append([:])
    _ = try execute(body)
    scopes.removeLast()
    return buffers.removeLast()
  }

  // MARK: Loops

  private mutating func run(_ loop: Statement.Loop) throws(TemplateError) {
    let source = try evaluate(loop.items)
    guard var items = Iteration.items(of: source) else {
      throw TemplateError(.conversation, line: loop.line, "\(source.typeName) cannot be gone through")
    }
    try charge(items.count / 16 + 1, line: loop.line)
    if let condition = loop.condition {
      var kept: [Value] = []
      for item in items {
        try charge(1, line: loop.line)
        scopes.append([:])
        try assign(loop.target, item, line: loop.line)
        if try evaluate(condition).isTrue { kept.append(item) }
        scopes.removeLast()
      }
      items = kept
    }
    guard !items.isEmpty else {
      scopes.append([:])
      _ = try execute(loop.otherwise)
      scopes.removeLast()
      return
    }
    for (index, item) in items.enumerated() {
      try charge(1, line: loop.line)
      let place = Self.place(index, items)
      scopes.append(["loop": place])
      try assign(loop.target, item, line: loop.line)
      let flow = try withSpan(of: item) { (interpreter) throws(TemplateError) in try interpreter.execute(loop.body) }
      scopes.removeLast()
      if case .breakLoop = flow { break }
    }
  }

  /// Notes where the text of a message goes, when `item` is one.
  private mutating func withSpan(
    of item: Value, _ body: (inout Interpreter) throws(TemplateError) -> Flow
  ) throws(TemplateError) -> Flow {
    guard case .mapping(let mapping) = item, let message = mapping.message, buffers.count == 1, !isInMessage else {
      return try body(&self)
    }
    isInMessage = true
    let start = buffers[0].utf8.count
    let flow = try body(&self)
    isInMessage = false
    let end = buffers[0].utf8.count
    if end > start { messages[message, default: []].append(start..<end) }
    return flow
  }

  /// The variable `loop`.
  private static func place(_ index: Int, _ items: [Value]) -> Value {
    .mapping(
      Value.Mapping([
        ("index", .int(index + 1)), ("index0", .int(index)), ("revindex", .int(items.count - index)),
        ("revindex0", .int(items.count - index - 1)), ("first", .bool(index == 0)), ("last", .bool(index == items.count - 1)),
        ("length", .int(items.count)),
        ("previtem", index == 0 ? .undefined("loop.previtem") : items[index - 1]),
        ("nextitem", index == items.count - 1 ? .undefined("loop.nextitem") : items[index + 1]),
      ]))
  }

  // MARK: Macros

  mutating func call(_ macro: Macro, _ arguments: CallArguments, line: Int) throws(TemplateError) -> Value {
    macroDepth += 1
    guard macroDepth <= 16 else { throw TemplateError(.limit, line: line, "macros call one another too deep") }
    defer { macroDepth -= 1 }
    guard arguments.positional.count <= macro.parameters.count else {
      throw TemplateError(.conversation, line: line, "the macro `\(macro.name)` takes \(macro.parameters.count) arguments")
    }
    var given = arguments
    let outer = scopes
    // A macro sees the names of the template itself, not those of its caller.
    scopes = [outer[0], [:]]
    for (index, parameter) in macro.parameters.enumerated() {
      if let value = try given.take(index, parameter.name, line: line) {
        define(parameter.name, value)
      } else if let standard = parameter.standard {
        define(parameter.name, try evaluate(standard))
      } else {
        define(parameter.name, .undefined(parameter.name))
      }
    }
    try given.finish("the macro `\(macro.name)`", line: line)
    let text = try captured(macro.body)
    scopes = outer
    return .string(text)
  }
}

/// What can be gone through one by one.
enum Iteration {
  /// Nil for what cannot.
  static func items(of value: Value) -> [Value]? {
    switch value {
    case .undefined: []
    case .string(let text): text.unicodeScalars.map { .string(String($0)) }
    case .sequence(let sequence): sequence.items
    case .mapping(let mapping): mapping.entries.map { .string($0.key) }
    default: nil
    }
  }
}

/// The values of a call's arguments, each to be taken once.
struct CallArguments {
  private(set) var positional: [Value?]
  private var named: [(name: String, value: Value)]

  init(_ positional: [Value] = [], named: [(name: String, value: Value)] = []) {
    self.positional = positional
    self.named = named
  }

  var isEmpty: Bool { positional.isEmpty && named.isEmpty }

  /// The argument at a place or of a name; nil where it is not given.
  mutating func take(_ index: Int, _ name: String, line: Int) throws(TemplateError) -> Value? {
    let place = named.firstIndex { $0.name == name }
    if positional.indices.contains(index), let value = positional[index] {
      guard place == nil else { throw TemplateError(.template, line: line, "the argument `\(name)` is given twice") }
      positional[index] = nil
      return value
    }
    return place.map { named.remove(at: $0).value }
  }

  /// What is left of the arguments, all named.
  mutating func takeNamed() -> [(name: String, value: Value)] {
    defer { named = [] }
    return named
  }

  /// Refuses what nobody took.
  func finish(_ callee: String, line: Int) throws(TemplateError) {
    if let name = named.first?.name { throw TemplateError(.template, line: line, "\(callee) has no argument `\(name)`") }
    guard !positional.contains(where: { $0 != nil }) else {
      throw TemplateError(.template, line: line, "\(callee) takes fewer arguments")
    }
  }
}
