/// Reads the statements of a template, as jinja2's parser does; what it does not know is refused by name and line.
struct Parser {
  /// Levels of blocks, and of expressions in one another: evaluation takes the stack's memory level by level.
  static let maximumDepth = 40

  private let tokens: [Token]
  private var at = 0
  private var depth = 0
  /// Loops around the current place, for `break` and `continue`.
  private var loops = 0

  static func parse(_ source: String) throws(TemplateError) -> [Statement] {
    guard source.utf8.count <= 1 << 20 else { throw TemplateError(.limit, "it is longer than 1 MiB") }
    var parser = Parser(tokens: try Lexer.tokens(of: source))
    return try parser.statements(until: [])
  }

  private init(tokens: [Token]) { self.tokens = tokens }

  // MARK: Tokens

  var current: Token { tokens[min(at, tokens.count - 1)] }
  var next: Token { tokens[min(at + 1, tokens.count - 1)] }

  mutating func advance() -> Token {
    defer { at += 1 }
    return current
  }

  func isName(_ name: String) -> Bool { current.kind == .name(name) }
  func isSymbol(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }

  mutating func skip(_ symbol: String) -> Bool {
    guard isSymbol(symbol) else { return false }
    at += 1
    return true
  }

  mutating func skipName(_ name: String) -> Bool {
    guard isName(name) else { return false }
    at += 1
    return true
  }

  func unexpected(_ wanted: String = "") -> TemplateError {
    TemplateError(.template, line: current.line, "unexpected \(current.text)\(wanted.isEmpty ? "" : ", expected \(wanted)")")
  }

  mutating func expect(_ symbol: String) throws(TemplateError) {
    guard skip(symbol) else { throw unexpected("`\(symbol)`") }
  }

  mutating func expectName() throws(TemplateError) -> String {
    guard case .name(let name) = current.kind else { throw unexpected("a name") }
    at += 1
    return name
  }

  mutating func expectName(_ name: String) throws(TemplateError) {
    guard skipName(name) else { throw unexpected("`\(name)`") }
  }

  private mutating func expectBlockEnd() throws(TemplateError) {
    guard current.kind == .blockEnd else { throw unexpected("%}") }
    at += 1
  }

  /// Reads one level further in.
  mutating func nested<Value>(_ body: (inout Parser) throws(TemplateError) -> Value) throws(TemplateError) -> Value {
    depth += 1
    guard depth <= Self.maximumDepth else {
      throw TemplateError(.limit, line: current.line, "nested deeper than \(Self.maximumDepth) levels")
    }
    let value = try body(&self)
    depth -= 1
    return value
  }

  // MARK: Statements

  /// Statements up to a block of one of these names, whose name is the current token then.
  private mutating func statements(until ends: [String]) throws(TemplateError) -> [Statement] {
    var statements: [Statement] = []
    while true {
      let token = advance()
      switch token.kind {
      case .data(let text): statements.append(.text(text))
      case .variableBegin:
        statements.append(.output(try tupleOrExpression()))
        guard current.kind == .variableEnd else { throw unexpected("}}") }
        at += 1
      case .blockBegin:
        guard case .name(let name) = current.kind else { throw unexpected("the name of a block") }
        if ends.contains(name) { return statements }
        at += 1
        if let statement = try nested({ (parser) throws(TemplateError) in try parser.statement(name, token.line) }) {
          statements.append(statement)
        }
      case .end:
        guard ends.isEmpty else {
          throw TemplateError(.template, line: token.line, "the template ends where {% \(ends[ends.count - 1]) %} is expected")
        }
        return statements
      default:
        throw TemplateError(.template, line: token.line, "unexpected \(token.text)")
      }
    }
  }

  private mutating func statement(_ name: String, _ line: Int) throws(TemplateError) -> Statement? {
    switch name {
    case "if": return try branch()
    case "for": return try loop(line)
    case "set": return try assignment(line)
    case "macro": return try macro(line)
    case "generation":
      try expectBlockEnd()
      return .generation(try body(until: "endgeneration"))
    case "break", "continue":
      guard loops > 0 else { throw TemplateError(.template, line: line, "`\(name)` outside a loop") }
      try expectBlockEnd()
      return name == "break" ? .breakLoop : .continueLoop
    default: throw TemplateError(.template, line: line, "the block {% \(name) %} is not supported")
    }
  }

  private mutating func body(until end: String) throws(TemplateError) -> [Statement] {
    let body = try statements(until: [end])
    at += 1
    try expectBlockEnd()
    return body
  }

  private mutating func branch() throws(TemplateError) -> Statement {
    var branches: [(condition: Expression, body: [Statement])] = []
    var otherwise: [Statement] = []
    while true {
      let condition = try tupleOrExpression()
      try expectBlockEnd()
      branches.append((condition, try statements(until: ["elif", "else", "endif"])))
      let word = try expectName()
      if word == "elif" { continue }
      try expectBlockEnd()
      if word == "else" { otherwise = try body(until: "endif") }
      return .branch(branches, otherwise: otherwise)
    }
  }

  private mutating func loop(_ line: Int) throws(TemplateError) -> Statement {
    let target = try assignee(isLoop: true)
    try expectName("in")
    let items = try tupleOrExpression(hasConditions: false)
    let condition = skipName("if") ? try expression() : nil
    if isName("recursive") { throw TemplateError(.template, line: line, "recursive loops are not supported") }
    try expectBlockEnd()
    loops += 1
    let body = try statements(until: ["else", "endfor"])
    loops -= 1
    let hasElse = isName("else")
    at += 1
    try expectBlockEnd()
    let otherwise = hasElse ? try self.body(until: "endfor") : []
    return .loop(.init(target: target, items: items, condition: condition, body: body, otherwise: otherwise, line: line))
  }

  private mutating func assignee(isLoop: Bool) throws(TemplateError) -> Statement.Assignee {
    let line = current.line
    let isEnclosed = skip("(")
    var names = [try expectName()]
    if !isLoop, !isEnclosed, skip(".") { return .attribute(of: names[0], try expectName()) }
    var isTuple = false
    while skip(",") {
      isTuple = true
      guard case .name(let name) = current.kind, name != "in" else { break }
      names.append(try expectName())
    }
    if isEnclosed { try expect(")") }
    for name in names where ["loop", "true", "false", "none", "True", "False", "None"].contains(name) {
      throw TemplateError(.template, line: line, "`\(name)` cannot be assigned to")
    }
    return isTuple ? .names(names) : .name(names[0])
  }

  private mutating func assignment(_ line: Int) throws(TemplateError) -> Statement {
    let target = try assignee(isLoop: false)
    if skip("=") {
      let value = try tupleOrExpression()
      try Self.refuseSafe([value])
      try expectBlockEnd()
      return .assign(target, value, line: line)
    }
    var filters: [(name: String, arguments: Arguments, line: Int)] = []
    while isSymbol("|") {
      let line = advance().line
      let name = try expectName()
      guard Filters.names.contains(name), name != "safe" else {
        throw TemplateError(.template, line: line, "the filter `\(name)` is not supported here")
      }
      filters.append((name, isSymbol("(") ? try arguments() : .none, line))
    }
    try expectBlockEnd()
    return .capture(target, filters: filters, body: try body(until: "endset"), line: line)
  }

  private mutating func macro(_ line: Int) throws(TemplateError) -> Statement {
    guard loops == 0 else { throw TemplateError(.template, line: line, "a macro inside a loop is not supported") }
    let name = try expectName()
    try expect("(")
    var parameters: [(name: String, standard: Expression?)] = []
    while !isSymbol(")") {
      if !parameters.isEmpty { try expect(",") }
      let parameter = try expectName()
      parameters.append((parameter, skip("=") ? try expression() : nil))
    }
    try expect(")")
    try expectBlockEnd()
    return .macro(Macro(name: name, parameters: parameters, body: try body(until: "endmacro")))
  }
}
