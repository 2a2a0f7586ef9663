/// Reads regular expressions in Oniguruma's Ruby syntax, which is what a `tokenizer.json` is written in.
///
/// What is read is what `Expression` can match in a time that grows with the text alone: no references back, no
/// recursion, no absent operators.
struct ExpressionParser {
  let scalars: [Unicode.Scalar]
  var at = 0
  private var depth = 0
  var isCaseless = false
  /// The point takes line breaks, too.
  private var takesBreaks = false

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  static func parse(_ text: String) throws(ExpressionError) -> ExpressionNode {
    var parser = ExpressionParser(text)
    let node = try parser.choice()
    guard parser.next == nil else { throw ExpressionError("a group is closed that was not opened") }
    return node
  }

  var next: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

  mutating func take() throws(ExpressionError) -> Unicode.Scalar {
    guard let next else { throw ExpressionError("it ends too early") }
    at += 1
    return next
  }

  /// Whether the text goes on like that; if so, moves past it.
  mutating func takes(_ text: StaticString) -> Bool {
    let wanted = Array("\(text)".unicodeScalars)
    guard scalars[at...].starts(with: wanted) else { return false }
    at += wanted.count
    return true
  }

  private mutating func choice() throws(ExpressionError) -> ExpressionNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 50 else { throw ExpressionError("groups nested more than 50 deep") }
    // Options set inside a group hold to its end.
    let options = (isCaseless, takesBreaks)
    defer { (isCaseless, takesBreaks) = options }
    var nodes = [try sequence()]
    while takes("|") { nodes.append(try sequence()) }
    return nodes.count == 1 ? nodes[0] : .choice(nodes)
  }

  private mutating func sequence() throws(ExpressionError) -> ExpressionNode {
    var nodes: [ExpressionNode] = []
    var previous: Unicode.Scalar?
    while let next, next != "|", next != ")" {
      let start = at
      let node = try atom()
      let literal = at == start + 1 ? scalars[start] : nil
      try refuseFoldedPair(previous, literal)
      previous = literal
      nodes.append(try quantified(node))
    }
    return nodes.count == 1 ? nodes[0] : nodes.isEmpty ? .empty : .sequence(nodes)
  }

  /// Without regard to case, these are also one character each to Oniguruma.
  private func refuseFoldedPair(_ first: Unicode.Scalar?, _ second: Unicode.Scalar?) throws(ExpressionError) {
    guard isCaseless, let first, let second else { return }
    let pair = String(String.UnicodeScalarView([first, second])).lowercased()
    if ["ss", "st", "ff", "fi", "fl"].contains(pair) { throw ExpressionError("\(quoted(pair)) without regard to case") }
  }

  private mutating func atom() throws(ExpressionError) -> ExpressionNode {
    switch try take() {
    case "(": return try group()
    case "[": return .scalar(try bracketClass())
    case ".": return .scalar(takesBreaks ? .any : .not(.one(0x0A)))
    case "^": return .assertion(.lineStart)
    case "$": return .assertion(.lineEnd)
    case "\\": return try escape()
    case "*", "+", "?": throw ExpressionError("a quantifier that follows nothing")
    case let scalar: return .scalar(try literal(scalar))
    }
  }

  func literal(_ scalar: Unicode.Scalar) throws(ExpressionError) -> ScalarTest {
    guard isCaseless else { return .one(scalar.value) }
    let properties = scalar.properties
    guard properties.uppercaseMapping.unicodeScalars.count == 1, properties.lowercaseMapping.unicodeScalars.count == 1 else {
      throw ExpressionError("\(quoted(String(scalar))) without regard to case")
    }
    return scalar.folded == scalar && properties.uppercaseMapping == String(scalar)
      ? .one(scalar.value) : .caseless(.one(scalar.folded.value))
  }

  private mutating func group() throws(ExpressionError) -> ExpressionNode {
    if takes("?#") {
      while try take() != ")" {}
      return .empty
    }
    if takes("?:") { return try closed() }
    if takes("?=") { return .look(try closed(), isBehind: false, isNegated: false) }
    if takes("?!") { return .look(try closed(), isBehind: false, isNegated: true) }
    if takes("?>") { return .atomic(try closed()) }
    if takes("?<=") { return try behind(isNegated: false) }
    if takes("?<!") { return try behind(isNegated: true) }
    if takes("?<") || takes("?'") {
      while let next, next != ">", next != "'" { at += 1 }
      _ = try take()
      return try closed()
    }
    if takes("?") { return try options() }
    return try closed()
  }

  private mutating func closed() throws(ExpressionError) -> ExpressionNode {
    let node = try choice()
    guard takes(")") else { throw ExpressionError("a group is not closed") }
    return node
  }

  private mutating func behind(isNegated: Bool) throws(ExpressionError) -> ExpressionNode {
    let node = try closed()
    let ways = if case .choice(let nodes) = node { nodes } else { [node] }
    guard ways.allSatisfy({ $0.width != nil }) else { throw ExpressionError("looking behind for a text of no fixed length") }
    return .look(node, isBehind: true, isNegated: isNegated)
  }

  /// `(?i-m:…)`, or `(?i)`, which holds for the rest of the group.
  private mutating func options() throws(ExpressionError) -> ExpressionNode {
    let before = (isCaseless, takesBreaks)
    var value = true
    while true {
      switch try take() {
      case "-": value = false
      case "i": isCaseless = value
      case "m": takesBreaks = value
      case ":":
        let node = try closed()
        (isCaseless, takesBreaks) = before
        return node
      case ")":
        // All that follows in this group, its other ways included, belongs to the option.
        var nodes = [try sequence()]
        while takes("|") { nodes.append(try sequence()) }
        return .choice(nodes)
      case let option: throw ExpressionError("the group (?\(option)")
      }
    }
  }

  private mutating func quantified(_ atom: ExpressionNode) throws(ExpressionError) -> ExpressionNode {
    var node = atom
    while let next {
      let range: (least: Int, most: Int?)
      var isInterval = false
      switch next {
      case "*": range = (0, nil)
      case "+": range = (1, nil)
      case "?": range = (0, 1)
      case "{":
        guard let interval = try interval() else { return node }
        range = interval
        isInterval = true
      default: return node
      }
      if !isInterval { at += 1 }
      var eagerness = ExpressionNode.Eagerness.greedy
      // `{2}?` makes the two optional, and `{2,3}+` repeats them: Ruby's way.
      if takes("?") {
        if isInterval, range.least == range.most {
          node = .repeated(.repeated(node, atLeast: range.least, atMost: range.most, .greedy), atLeast: 0, atMost: 1, .greedy)
          continue
        }
        eagerness = .lazy
      } else if !isInterval, takes("+") {
        eagerness = .possessive
      }
      node = .repeated(node, atLeast: range.least, atMost: range.most, eagerness)
    }
    return node
  }

  /// `{2}`, `{2,}`, `{,3}` or `{2,3}`; anything else in braces stands for itself.
  private mutating func interval() throws(ExpressionError) -> (least: Int, most: Int?)? {
    let start = at
    at += 1
    let least = digits()
    var most = least
    let hasComma = takes(",")
    if hasComma { most = digits() }
    guard takes("}"), least != nil || most != nil else {
      at = start
      return nil
    }
    let (low, high) = (least ?? 0, most)
    guard low <= 1000, (high ?? 0) <= 1000 else { throw ExpressionError("more than 1000 repetitions") }
    guard low <= high ?? low else { throw ExpressionError("an interval whose end is before its start") }
    return (low, high)
  }

  private mutating func digits() -> Int? {
    var value: Int?
    while let next, ("0"..."9").contains(next), (value ?? 0) < 1_000_000 {
      value = (value ?? 0) * 10 + Int(next.value - 0x30)
      at += 1
    }
    return value
  }
}

/// What an expression holds that is not supported.
struct ExpressionError: Error {
  var message: String

  init(_ message: String) { self.message = message }
}
