// The ranks of operators are jinja2's: condition, or, and, not, comparison, + -, ~, * / // %, **, sign, then filters and tests.

extension Parser {
  /// An expression, or several with commas between, which are a tuple.
  mutating func tupleOrExpression(hasConditions: Bool = true) throws(TemplateError) -> Expression {
    let line = current.line
    func part(_ parser: inout Parser) throws(TemplateError) -> Expression {
      hasConditions ? try parser.expression() : try parser.alternatives()
    }
    let first = try part(&self)
    guard isSymbol(",") else { return first }
    var items = [first]
    while skip(",") {
      switch current.kind {
      case .blockEnd, .variableEnd, .symbol(")"): break
      default: items.append(try part(&self))
      }
    }
    return try made(.tuple(items), line, items)
  }

  mutating func expression() throws(TemplateError) -> Expression {
    try nested { (parser) throws(TemplateError) in try parser.conditional() }
  }

  /// An expression whose parts lie no deeper than evaluation may go.
  private func made(_ kind: Expression.Kind, _ line: Int, _ parts: [Expression] = []) throws(TemplateError) -> Expression {
    let expression = Expression(kind, line: line, holding: parts)
    if case .concatenation = kind {} else { try Self.refuseSafe(parts) }
    guard expression.depth <= Self.maximumDepth else {
      throw TemplateError(.limit, line: line, "an expression is nested deeper than \(Self.maximumDepth) levels")
    }
    return expression
  }

  /// What `safe` marks makes Python escape the text that is added to it; where nothing is added, the mark says nothing.
  static func refuseSafe(_ parts: [Expression]) throws(TemplateError) {
    for part in parts {
      guard case .filter(_, "safe", _) = part.kind else { continue }
      throw TemplateError(.template, line: part.line, "the filter `safe` is read before `~` and at an output's end only")
    }
  }

  private mutating func conditional() throws(TemplateError) -> Expression {
    var value = try alternatives()
    while isName("if") {
      let line = advance().line
      let condition = try alternatives()
      let otherwise = skipName("else") ? try expression() : nil
      value = try made(
        .conditional(then: value, condition: condition, otherwise: otherwise), line,
        [value, condition] + (otherwise.map { [$0] } ?? []))
    }
    return value
  }

  private mutating func alternatives() throws(TemplateError) -> Expression {
    var parts = [try conjunction()]
    let line = current.line
    while skipName("or") { parts.append(try conjunction()) }
    return parts.count == 1 ? parts[0] : try made(.or(parts), line, parts)
  }

  private mutating func conjunction() throws(TemplateError) -> Expression {
    var parts = [try negation()]
    let line = current.line
    while skipName("and") { parts.append(try negation()) }
    return parts.count == 1 ? parts[0] : try made(.and(parts), line, parts)
  }

  private mutating func negation() throws(TemplateError) -> Expression {
    guard isName("not") else { return try comparison() }
    let line = advance().line
    let value = try nested { (parser) throws(TemplateError) in try parser.negation() }
    return try made(.not(value), line, [value])
  }

  private mutating func comparison() throws(TemplateError) -> Expression {
    let first = try sum()
    let line = current.line
    var parts: [(operation: Expression.Comparison, operand: Expression)] = []
    while let operation = comparisonOperator() { parts.append((operation, try sum())) }
    return parts.isEmpty ? first : try made(.comparison(first, parts), line, [first] + parts.map(\.operand))
  }

  private mutating func comparisonOperator() -> Expression.Comparison? {
    if skipName("in") { return .isIn }
    if isName("not"), next.kind == .name("in") {
      _ = advance()
      _ = advance()
      return .isNotIn
    }
    guard case .symbol(let symbol) = current.kind, let operation = Expression.Comparison(rawValue: symbol) else { return nil }
    _ = advance()
    return operation
  }

  private mutating func sum() throws(TemplateError) -> Expression {
    let first = try concatenation()
    let line = current.line
    var parts: [(operation: Expression.Arithmetic, operand: Expression)] = []
    while case .symbol(let symbol) = current.kind, let operation = Expression.Arithmetic(rawValue: symbol),
      operation == .add || operation == .subtract
    {
      _ = advance()
      parts.append((operation, try concatenation()))
    }
    return parts.isEmpty ? first : try made(.arithmetic(first, parts), line, [first] + parts.map(\.operand))
  }

  private mutating func concatenation() throws(TemplateError) -> Expression {
    var parts = [try product()]
    let line = current.line
    while skip("~") { parts.append(try product()) }
    return parts.count == 1 ? parts[0] : try made(.concatenation(parts), line, parts)
  }

  private mutating func product() throws(TemplateError) -> Expression {
    let first = try power()
    let line = current.line
    var parts: [(operation: Expression.Arithmetic, operand: Expression)] = []
    while case .symbol(let symbol) = current.kind, let operation = Expression.Arithmetic(rawValue: symbol),
      operation != .add, operation != .subtract
    {
      _ = advance()
      parts.append((operation, try power()))
    }
    return parts.isEmpty ? first : try made(.arithmetic(first, parts), line, [first] + parts.map(\.operand))
  }

  private mutating func power() throws(TemplateError) -> Expression {
    let base = try signed(hasFilters: true)
    guard !isSymbol("**") else { throw TemplateError(.template, line: current.line, "powers are not supported") }
    return base
  }

  private mutating func signed(hasFilters: Bool) throws(TemplateError) -> Expression {
    var value: Expression
    if isSymbol("-") || isSymbol("+") {
      let token = advance()
      let operand = try nested { (parser) throws(TemplateError) in try parser.signed(hasFilters: false) }
      value = try made(.sign(token.kind == .symbol("-") ? .minus : .plus, operand), token.line, [operand])
    } else {
      value = try primary()
    }
    value = try postfix(value)
    return hasFilters ? try filtered(value) : value
  }

  private mutating func primary() throws(TemplateError) -> Expression {
    let token = current
    switch token.kind {
    case .name(let name):
      _ = advance()
      switch name {
      case "true", "True": return Expression(.constant(.bool(true)), line: token.line)
      case "false", "False": return Expression(.constant(.bool(false)), line: token.line)
      case "none", "None": return Expression(.constant(.none), line: token.line)
      default: return Expression(.name(name), line: token.line)
      }
    case .string:
      var text = ""
      while case .string(let part) = current.kind {
        text += part
        _ = advance()
      }
      return Expression(.constant(.string(text)), line: token.line)
    case .integer(let value):
      _ = advance()
      return Expression(.constant(.int(value)), line: token.line)
    case .float(let value):
      _ = advance()
      return Expression(.constant(.float(value)), line: token.line)
    case .symbol("("):
      _ = advance()
      if skip(")") { return Expression(.tuple([]), line: token.line) }
      let value = try tupleOrExpression()
      try expect(")")
      return value
    case .symbol("["): return try list()
    case .symbol("{"): return try mapping()
    default: throw unexpected("a value")
    }
  }

  private mutating func list() throws(TemplateError) -> Expression {
    let line = advance().line
    var items: [Expression] = []
    while !isSymbol("]") {
      if !items.isEmpty { try expect(",") }
      if isSymbol("]") { break }
      items.append(try expression())
    }
    try expect("]")
    return try made(.list(items), line, items)
  }

  private mutating func mapping() throws(TemplateError) -> Expression {
    let line = advance().line
    var items: [(key: Expression, value: Expression)] = []
    while !isSymbol("}") {
      if !items.isEmpty { try expect(",") }
      if isSymbol("}") { break }
      let key = try expression()
      try expect(":")
      items.append((key, try expression()))
    }
    try expect("}")
    return try made(.mapping(items), line, items.flatMap { [$0.key, $0.value] })
  }

  private mutating func postfix(_ start: Expression) throws(TemplateError) -> Expression {
    var value = start
    while true {
      let line = current.line
      if skip(".") {
        if case .integer(let index) = current.kind {
          _ = advance()
          let item = Expression(.constant(.int(index)), line: line)
          value = try made(.item(value, item), line, [value, item])
        } else {
          value = try made(.attribute(value, try expectName()), line, [value])
        }
      } else if skip("[") {
        value = try subscripted(value, line)
      } else if isSymbol("(") {
        let arguments = try arguments()
        value = try made(.call(value, arguments), line, [value] + arguments.all)
      } else {
        return value
      }
    }
  }

  private mutating func subscripted(_ value: Expression, _ line: Int) throws(TemplateError) -> Expression {
    var bounds: [Expression?] = [nil]
    if !isSymbol(":") { bounds[0] = try expression() }
    while skip(":") {
      let isLast = isSymbol("]") || isSymbol(":")
      bounds.append(isLast ? nil : try expression())
    }
    guard isSymbol("]"), bounds.count <= 3 else { throw unexpected("`]`") }
    _ = advance()
    guard bounds.count > 1 else {
      guard let item = bounds[0] else { throw unexpected("an index") }
      return try made(.item(value, item), line, [value, item])
    }
    let step = bounds.count > 2 ? bounds[2] : nil
    return try made(
      .slice(value, start: bounds[0], stop: bounds[1], step: step), line, [value] + bounds.compactMap { $0 })
  }

  private mutating func filtered(_ start: Expression) throws(TemplateError) -> Expression {
    var value = start
    while true {
      let line = current.line
      if skip("|") {
        let name = try expectName()
        let arguments = isSymbol("(") ? try arguments() : .none
        guard Filters.names.contains(name) else {
          throw TemplateError(.template, line: line, "the filter `\(name)` is not supported")
        }
        value = try made(.filter(value, name, arguments), line, [value] + arguments.all)
      } else if skipName("is") {
        value = try tested(value, line)
      } else if isSymbol("(") {
        let arguments = try arguments()
        value = try made(.call(value, arguments), line, [value] + arguments.all)
      } else {
        return value
      }
    }
  }

  private mutating func tested(_ value: Expression, _ line: Int) throws(TemplateError) -> Expression {
    let isNegated = skipName("not")
    let name = try expectName()
    guard Tests.names.contains(name) else { throw TemplateError(.template, line: line, "the test `\(name)` is not supported") }
    var arguments = Arguments.none
    if isSymbol("(") {
      arguments = try self.arguments()
    } else if startsArgument {
      let argument = try postfix(try primary())
      arguments.positional = [argument]
    }
    let test = try made(.test(value, name, arguments), line, [value] + arguments.all)
    return isNegated ? try made(.not(test), line, [test]) : test
  }

  /// Whether a test's argument without parentheses follows.
  private var startsArgument: Bool {
    switch current.kind {
    case .name(let name): !["else", "or", "and", "is", "if", "in", "not", "recursive"].contains(name)
    case .string, .integer, .float: true
    case .symbol("["), .symbol("{"): true
    default: false
    }
  }

  mutating func arguments() throws(TemplateError) -> Arguments {
    try expect("(")
    var arguments = Arguments()
    while !isSymbol(")") {
      if !arguments.positional.isEmpty || !arguments.named.isEmpty { try expect(",") }
      if isSymbol(")") { break }
      if isSymbol("*") || isSymbol("**") {
        throw TemplateError(.template, line: current.line, "arguments with * are not supported")
      }
      if case .name(let name) = current.kind, next.kind == .symbol("=") {
        _ = advance()
        _ = advance()
        arguments.named.append((name, try expression()))
      } else {
        guard arguments.named.isEmpty else { throw unexpected("a named argument") }
        arguments.positional.append(try expression())
      }
    }
    try expect(")")
    return arguments
  }
}
