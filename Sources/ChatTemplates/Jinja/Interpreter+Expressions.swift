extension Interpreter {
  mutating func evaluate(_ expression: Expression) throws(TemplateError) -> Value {
    try charge(1, line: expression.line)
    try descend(expression.line)
    defer { ascend() }
    let value = try compute(expression)
    guard value.depth <= 200 else { throw TemplateError(.limit, line: expression.line, "containers lie too deep in one another") }
    return value
  }

  private mutating func compute(_ expression: Expression) throws(TemplateError) -> Value {
    let line = expression.line
    switch expression.kind {
    case .constant(let value): return value
    case .name(let name): return value(of: name) ?? (Functions.names.contains(name) ? .function(name) : .undefined(name))
    case .list(let items): return .list(try stored(items))
    case .tuple(let items): return .tuple(try stored(items))
    case .mapping(let items): return try mapping(items)
    case .not(let operand): return .bool(!(try evaluate(operand).isTrue))
    case .sign(let sign, let operand): return try signed(sign, try evaluate(operand), line)
    case .arithmetic(let first, let rest): return try arithmetic(first, rest, line)
    case .concatenation(let parts): return try concatenation(parts, line)
    case .comparison(let first, let rest): return try comparison(first, rest, line)
    case .and(let parts): return try chosen(parts, until: false)
    case .or(let parts): return try chosen(parts, until: true)
    case .conditional(let then, let condition, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(then) }
      return try otherwise.map { (other) throws(TemplateError) in try evaluate(other) } ?? .undefined("the other case")
    case .attribute(let object, let name): return try attribute(name, of: try evaluate(object), line)
    case .item(let object, let key): return try item(try evaluate(key), of: try evaluate(object), line)
    case .slice(let object, let start, let stop, let step): return try slice(object, start, stop, step, line)
    case .call(let callee, let arguments): return try call(callee, arguments, line)
    case .filter(let operand, let name, let arguments): return try apply(name, to: try evaluate(operand), arguments, line: line)
    case .test(let operand, let name, let arguments):
      let value = try evaluate(operand)
      return .bool(try Tests.passes(name, value, try evaluated(arguments), line: line))
    }
  }

  private mutating func stored(_ items: [Expression]) throws(TemplateError) -> [Value] {
    var values: [Value] = []
    for item in items { values.append(try storable(try evaluate(item), line: item.line)) }
    return values
  }

  private mutating func mapping(_ items: [(key: Expression, value: Expression)]) throws(TemplateError) -> Value {
    var entries: [(key: String, value: Value)] = []
    for item in items {
      guard case .string(let key) = try evaluate(item.key) else {
        throw TemplateError(.template, line: item.key.line, "keys of a mapping that are no strings are not supported")
      }
      let value = try storable(try evaluate(item.value), line: item.value.line)
      if let place = entries.firstIndex(where: { $0.key.isSame(as: key) }) {
        entries[place].value = value
      } else {
        entries.append((key, value))
      }
    }
    return .mapping(Value.Mapping(entries))
  }

  mutating func evaluated(_ arguments: Arguments) throws(TemplateError) -> CallArguments {
    var positional: [Value] = []
    for argument in arguments.positional { positional.append(try evaluate(argument)) }
    var named: [(name: String, value: Value)] = []
    for argument in arguments.named { named.append((argument.name, try evaluate(argument.value))) }
    return CallArguments(positional, named: named)
  }

  /// `and` ends at the first value that is false, `or` at the first that is true; the value itself is the result.
  private mutating func chosen(_ parts: [Expression], until truth: Bool) throws(TemplateError) -> Value {
    var value = Value.none
    for part in parts {
      value = try evaluate(part)
      if value.isTrue == truth { return value }
    }
    return value
  }

  private mutating func concatenation(_ parts: [Expression], _ line: Int) throws(TemplateError) -> Value {
    var text = ""
    for part in parts {
      let value = try evaluate(part)
      guard let more = value.text else { throw TemplateError(.template, line: line, "\(value.typeName) cannot be put out") }
      text += more
      try charge(text: more, line: line)
    }
    try charge(text: text, line: line)
    return .string(text)
  }

  // MARK: Arithmetic

  private func undefined(_ value: Value, _ line: Int) throws(TemplateError) {
    if case .undefined(let name) = value { throw TemplateError(.conversation, line: line, "'\(name)' is undefined") }
  }

  private func signed(_ sign: Expression.Sign, _ value: Value, _ line: Int) throws(TemplateError) -> Value {
    if let integer = value.integer {
      let (result, overflow) = sign == .plus ? (integer, false) : (0).subtractingReportingOverflow(integer)
      guard !overflow else { throw TemplateError(.limit, line: line, "a number grows too large") }
      return .int(result)
    }
    guard case .float(let number) = value else {
      try undefined(value, line)
      throw TemplateError(.conversation, line: line, "\(value.typeName) has no sign")
    }
    return .float(sign == .plus ? number : -number)
  }

  private mutating func arithmetic(
    _ first: Expression, _ rest: [(operation: Expression.Arithmetic, operand: Expression)], _ line: Int
  ) throws(TemplateError) -> Value {
    var value = try evaluate(first)
    for part in rest {
      let operand = try evaluate(part.operand)
      try undefined(value, line)
      try undefined(operand, line)
      value = try combined(value, part.operation, operand, line)
    }
    return value
  }

  private mutating func combined(
    _ a: Value, _ operation: Expression.Arithmetic, _ b: Value, _ line: Int
  ) throws(TemplateError) -> Value {
    switch (operation, a, b) {
    case (.add, .string(let a), .string(let b)):
      try charge(text: a, line: line)
      try charge(text: b, line: line)
      return .string(a + b)
    case (.add, .sequence(let a), .sequence(let b)) where a.kind == b.kind && a.kind != .generator:
      try charge((a.items.count + b.items.count) / 16 + 1, line: line)
      return .sequence(Value.Sequence(a.items + b.items, a.kind))
    case (.remainder, .string, _): throw TemplateError(.template, line: line, "formatting with % is not supported")
    default: break
    }
    if operation == .multiply, case .string(let text) = a, let count = b.integer {
      guard text.utf8.count.multipliedReportingOverflow(by: max(0, count)).partialValue <= Self.maximumText,
        count <= Self.maximumText
      else { throw TemplateError(.limit, line: line, "a text grows too long") }
      let repeated = String(repeating: text, count: max(0, count))
      try charge(text: repeated, line: line)
      return .string(repeated)
    }
    if operation != .divide, let a = a.integer, let b = b.integer { return try .int(Self.whole(a, operation, b, line)) }
    guard let x = a.number, let y = b.number else {
      throw TemplateError(
        .conversation, line: line, "`\(operation.rawValue)` does not go with \(a.typeName) and \(b.typeName)")
    }
    return try .float(Self.real(x, operation, y, line))
  }

  private static func whole(_ a: Int, _ operation: Expression.Arithmetic, _ b: Int, _ line: Int) throws(TemplateError) -> Int {
    let result: (partialValue: Int, overflow: Bool)
    switch operation {
    case .add: result = a.addingReportingOverflow(b)
    case .subtract: result = a.subtractingReportingOverflow(b)
    case .multiply: result = a.multipliedReportingOverflow(by: b)
    case .divide, .divideWhole, .remainder:
      guard b != 0 else { throw TemplateError(.conversation, line: line, "division by zero") }
      guard !(a == .min && b == -1) else { throw TemplateError(.limit, line: line, "a number grows too large") }
      // Python rounds towards minus infinity.
      let isBelow = a % b != 0 && (a < 0) != (b < 0)
      result = (operation == .remainder ? a % b + (isBelow ? b : 0) : a / b - (isBelow ? 1 : 0), false)
    }
    guard !result.overflow else { throw TemplateError(.limit, line: line, "a number grows too large") }
    return result.partialValue
  }

  private static func real(
    _ a: Double, _ operation: Expression.Arithmetic, _ b: Double, _ line: Int
  ) throws(TemplateError) -> Double {
    switch operation {
    case .add: return a + b
    case .subtract: return a - b
    case .multiply: return a * b
    case .divide, .divideWhole, .remainder:
      guard b != 0 else { throw TemplateError(.conversation, line: line, "division by zero") }
      if operation == .divide { return a / b }
      let quotient = (a / b).rounded(.down)
      return operation == .divideWhole ? quotient : a - quotient * b
    }
  }

  // MARK: Comparison

  private mutating func comparison(
    _ first: Expression, _ rest: [(operation: Expression.Comparison, operand: Expression)], _ line: Int
  ) throws(TemplateError) -> Value {
    var left = try evaluate(first)
    for part in rest {
      let right = try evaluate(part.operand)
      guard try Self.holds(left, part.operation, right, line) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  static func holds(_ a: Value, _ operation: Expression.Comparison, _ b: Value, _ line: Int) throws(TemplateError) -> Bool {
    func less(_ a: Value, _ b: Value) throws(TemplateError) -> Bool {
      guard let isLess = Value.isLess(a, b) else {
        throw TemplateError(
          .conversation, line: line, "`\(operation.rawValue)` does not go with \(a.typeName) and \(b.typeName)")
      }
      return isLess
    }
    switch operation {
    case .equal: return Value.areEqual(a, b)
    case .notEqual: return !Value.areEqual(a, b)
    case .less: return try less(a, b)
    case .greater: return try less(b, a)
    case .lessOrEqual: return try less(a, b) || Value.areEqual(a, b)
    case .greaterOrEqual: return try less(b, a) || Value.areEqual(a, b)
    case .isIn: return try contains(b, a, line)
    case .isNotIn: return try !contains(b, a, line)
    }
  }

  private static func contains(_ container: Value, _ value: Value, _ line: Int) throws(TemplateError) -> Bool {
    switch (container, value) {
    case (.string(let text), .string(let part)): return Strings.contains(text, part)
    case (.mapping(let mapping), .string(let key)): return mapping[key] != nil
    case (.mapping, _): return false
    case (.sequence(let sequence), _): return sequence.items.contains { Value.areEqual($0, value) }
    case (.undefined, _): return false
    default: throw TemplateError(.conversation, line: line, "\(value.typeName) cannot be looked for in \(container.typeName)")
    }
  }
}
