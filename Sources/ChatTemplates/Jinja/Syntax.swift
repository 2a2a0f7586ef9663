/// An expression of a template.
struct Expression: Sendable {
  indirect enum Kind: Sendable {
    case constant(Value)
    case name(String)
    case list([Expression])
    case tuple([Expression])
    case mapping([(key: Expression, value: Expression)])
    case not(Expression)
    case sign(Sign, Expression)
    /// From left to right, operations of one rank.
    case arithmetic(Expression, [(operation: Arithmetic, operand: Expression)])
    case concatenation([Expression])
    case comparison(Expression, [(operation: Comparison, operand: Expression)])
    case and([Expression])
    case or([Expression])
    case conditional(then: Expression, condition: Expression, otherwise: Expression?)
    case attribute(Expression, String)
    case item(Expression, Expression)
    case slice(Expression, start: Expression?, stop: Expression?, step: Expression?)
    case call(Expression, Arguments)
    case filter(Expression, String, Arguments)
    case test(Expression, String, Arguments)
  }

  enum Sign: Sendable {
    case plus
    case minus
  }

  enum Arithmetic: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case divideWhole = "//"
    case remainder = "%"
  }

  enum Comparison: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case isIn = "in"
    case isNotIn = "not in"
  }

  let kind: Kind
  let line: Int
  /// How deep expressions lie in one another, this one included.
  let depth: Int

  init(_ kind: Kind, line: Int, holding parts: [Expression] = []) {
    self.kind = kind
    self.line = line
    depth = 1 + (parts.map(\.depth).max() ?? 0)
  }
}

/// What stands in the parentheses of a call.
struct Arguments: Sendable {
  var positional: [Expression] = []
  var named: [(name: String, value: Expression)] = []

  static let none = Arguments()

  var all: [Expression] { positional + named.map(\.value) }
}

/// A statement of a template.
indirect enum Statement: Sendable {
  case text(String)
  case output(Expression)
  case branch([(condition: Expression, body: [Statement])], otherwise: [Statement])
  case loop(Loop)
  case assign(Assignee, Expression, line: Int)
  /// `{% set name %}…{% endset %}`, through filters.
  case capture(Assignee, filters: [(name: String, arguments: Arguments, line: Int)], body: [Statement], line: Int)
  case macro(Macro)
  /// `{% generation %}`: what the assistant says.
  case generation([Statement])
  case breakLoop
  case continueLoop

  struct Loop: Sendable {
    var target: Assignee
    var items: Expression
    var condition: Expression?
    var body: [Statement]
    var otherwise: [Statement]
    var line: Int
  }

  enum Assignee: Sendable {
    case name(String)
    case names([String])
    case attribute(of: String, String)
  }
}

/// A function that a template defines.
struct Macro: Sendable {
  var name: String
  var parameters: [(name: String, standard: Expression?)]
  var body: [Statement]
}
