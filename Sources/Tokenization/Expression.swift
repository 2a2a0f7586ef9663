/// A regular expression compiled to steps, which `ExpressionMatcher` follows.
///
/// The ways through it are tried in the order that backtracking engines try them, and so the match is theirs; but what
/// has failed at a place is remembered, so that no text takes longer than steps times length.
struct Expression: Sendable {
  enum Step: Sendable {
    case scalar(ScalarSetTest)
    /// As many as there are, and none of them given back.
    case all(ScalarSetTest, atLeast: Int, atMost: Int?)
    /// Tries the first way, then the second. Numbered, to remember what failed.
    case either(Int, Int, number: Int)
    case go(Int)
    case assertion(ExpressionNode.Assertion)
    /// Goes on at `then` if one of the ways, each so many scalars before, matches or none does.
    case look(ways: [(start: Int, behind: Int)], isNegated: Bool, then: Int)
    case atomic(start: Int, then: Int)
    case done
  }

  private(set) var steps: [Step] = []
  /// How many steps are choices.
  private(set) var choices = 0

  /// - Throws: for what is not supported, naming it.
  init(_ text: String, _ field: Field) throws(TokenizerError) {
    do throws(ExpressionError) {
      try emit(try ExpressionParser.parse(text))
      try add(.done)
    } catch {
      let shown = text.utf8.count > 200 ? String(text.prefix(200)) + "…" : text
      throw field.refusal("the pattern \(quoted(shown)) is not supported: \(error.message)")
    }
  }

  private mutating func add(_ step: Step) throws(ExpressionError) {
    guard steps.count < 20_000, choices <= 2_000 else { throw ExpressionError("it is too long") }
    steps.append(step)
  }

  /// Adds a choice whose second way is yet to be set.
  private mutating func addChoice() throws(ExpressionError) -> Int {
    try add(.either(steps.count + 1, 0, number: choices))
    choices += 1
    return steps.count - 1
  }

  private mutating func setSecondWay(of at: Int, lazily: Bool = false) {
    guard case .either(let first, _, let number) = steps[at] else { return }
    steps[at] = lazily ? .either(steps.count, first, number: number) : .either(first, steps.count, number: number)
  }

  private mutating func emit(_ node: ExpressionNode) throws(ExpressionError) {
    switch node {
    case .empty: break
    case .scalar(let test): try add(.scalar(ScalarSetTest(test)))
    case .assertion(let assertion): try add(.assertion(assertion))
    case .sequence(let nodes): for node in nodes { try emit(node) }
    case .choice(let nodes):
      var ends: [Int] = []
      for node in nodes.dropLast() {
        let choice = try addChoice()
        try emit(node)
        ends.append(steps.count)
        try add(.go(0))
        setSecondWay(of: choice)
      }
      if let last = nodes.last { try emit(last) }
      for end in ends { steps[end] = .go(steps.count) }
    case .repeated(let node, let least, let most, .possessive):
      if case .scalar(let test) = node {
        try add(.all(ScalarSetTest(test), atLeast: least, atMost: most))
      } else {
        try emit(.atomic(.repeated(node, atLeast: least, atMost: most, .greedy)))
      }
    case .repeated(let node, let least, let most, let eagerness):
      try emitRepeated(node, least, most, isLazy: eagerness == .lazy)
    case .look(let node, let isBehind, let isNegated): try emitLook(node, isBehind, isNegated)
    case .atomic(let node):
      let at = steps.count
      try add(.go(0))
      try emit(node)
      try add(.done)
      steps[at] = .atomic(start: at + 1, then: steps.count)
    }
  }

  private mutating func emitRepeated(_ node: ExpressionNode, _ least: Int, _ most: Int?, isLazy: Bool) throws(ExpressionError) {
    for _ in 0..<least { try emit(node) }
    guard let most else {
      let choice = try addChoice()
      try emit(node)
      try add(.go(choice))
      return setSecondWay(of: choice, lazily: isLazy)
    }
    var choices: [Int] = []
    for _ in least..<most {
      choices.append(try addChoice())
      try emit(node)
    }
    for choice in choices { setSecondWay(of: choice, lazily: isLazy) }
  }

  private mutating func emitLook(_ node: ExpressionNode, _ isBehind: Bool, _ isNegated: Bool) throws(ExpressionError) {
    let at = steps.count
    try add(.go(0))
    var nodes = [node]
    if isBehind, case .choice(let parts) = node { nodes = parts }
    var ways: [(start: Int, behind: Int)] = []
    for node in nodes {
      ways.append((steps.count, isBehind ? node.width ?? 0 : 0))
      try emit(node)
      try add(.done)
    }
    steps[at] = .look(ways: ways, isNegated: isNegated, then: steps.count)
  }

  /// The matches within a range, from left to right; an empty one not where the one before ended.
  func forEachMatch(in bytes: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void) {
    var matcher = ExpressionMatcher(self, bytes, range)
    var at = range.lowerBound
    var lastEnd: Int?
    while at <= range.upperBound {
      matcher.forget(before: at)
      var end = matcher.match(at: at)
      if end == at, lastEnd == at { end = nil }
      if let end {
        body(at..<end)
        lastEnd = end
        if end > at {
          at = end
          continue
        }
      }
      at = at < range.upperBound ? bytes.scalar(at: at).end : at + 1
    }
  }
}

/// A test that knows its answers for ASCII.
struct ScalarSetTest: Sendable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0
  private let test: ScalarTest

  init(_ test: ScalarTest) {
    self.test = test
    for value in 0..<64 as Range<UInt8> {
      if test.contains(Unicode.Scalar(value)) { low |= 1 << UInt64(value) }
      if test.contains(Unicode.Scalar(value + 64)) { high |= 1 << UInt64(value) }
    }
  }

  @inline(__always)
  func contains(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 64 { return low >> UInt64(scalar.value) & 1 == 1 }
    if scalar.value < 128 { return high >> UInt64(scalar.value - 64) & 1 == 1 }
    return test.contains(scalar)
  }
}
