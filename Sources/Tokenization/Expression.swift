/// A regular expression compiled to steps, which `ExpressionMatcher` follows.
///
/// The ways through it are tried in the order that backtracking engines try them, and so the match is theirs; but what
/// has failed at a place is remembered, so that no text takes longer than steps times length.
struct Expression: Sendable {
  /// Numbers only: what they stand for lies in arrays beside, so that taking a step counts no references.
  enum Step: Sendable {
    case scalar(test: Int)
    /// As many as there are, and none of them given back.
    case all(test: Int, atMost: Int, number: Int)
    /// Tries the first way, then the second. Numbered, to remember what failed.
    case either(Int, Int, number: Int)
    case go(Int)
    case assertion(ExpressionNode.Assertion)
    /// Goes on at `then` if one of the ways matches or none does.
    case look(ways: Range<Int>, isNegated: Bool, then: Int)
    case atomic(start: Int, then: Int)
    case done
  }

  /// One thing to look for, and how many scalars before.
  struct Way: Sendable {
    var start: Int
    var behind: Int
  }

  private(set) var steps: [Step] = []
  private(set) var tests: [ScalarSetTest] = []
  private(set) var ways: [Way] = []
  /// How many steps are choices.
  private(set) var choices = 0
  /// How many steps take all there are.
  private(set) var runs = 0

  /// - Throws: for what is not supported, naming it.
  init(_ text: String, _ field: Field) throws(TokenizerError) {
    do throws(ExpressionError) {
      try emit(try ExpressionParser.parse(text), endsMatch: true)
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

  /// - Parameter endsMatch: Whether nothing has to match after the node: then what it takes is never asked back.
  private mutating func emit(_ node: ExpressionNode, endsMatch: Bool) throws(ExpressionError) {
    switch node {
    case .empty: break
    case .scalar(let test):
      tests.append(ScalarSetTest(test))
      try add(.scalar(test: tests.count - 1))
    case .assertion(let assertion): try add(.assertion(assertion))
    case .sequence(let nodes):
      for (i, node) in nodes.enumerated() { try emit(node, endsMatch: endsMatch && i == nodes.count - 1) }
    case .choice(let nodes):
      var ends: [Int] = []
      for node in nodes.dropLast() {
        let choice = try addChoice()
        try emit(node, endsMatch: endsMatch)
        ends.append(steps.count)
        try add(.go(0))
        setSecondWay(of: choice)
      }
      if let last = nodes.last { try emit(last, endsMatch: endsMatch) }
      for end in ends { steps[end] = .go(steps.count) }
    case .repeated(.scalar(let test), let least, let most, let eagerness)
    where eagerness == .possessive || (endsMatch && eagerness == .greedy && most == nil):
      try emitAll(test, least, most)
    case .repeated(let node, let least, let most, .possessive):
      try emit(.atomic(.repeated(node, atLeast: least, atMost: most, .greedy)), endsMatch: endsMatch)
    case .repeated(let node, let least, let most, let eagerness):
      try emitRepeated(node, least, most, isLazy: eagerness == .lazy)
    case .look(let node, let isBehind, let isNegated): try emitLook(node, isBehind, isNegated)
    case .atomic(let node):
      let at = steps.count
      try add(.go(0))
      try emit(node, endsMatch: true)
      try add(.done)
      steps[at] = .atomic(start: at + 1, then: steps.count)
    }
  }

  private mutating func emitAll(_ test: ScalarTest, _ least: Int, _ most: Int?) throws(ExpressionError) {
    tests.append(ScalarSetTest(test))
    let test = tests.count - 1
    for _ in 0..<least { try add(.scalar(test: test)) }
    try add(.all(test: test, atMost: most.map { $0 - least } ?? .max, number: runs))
    runs += 1
  }

  private mutating func emitRepeated(_ node: ExpressionNode, _ least: Int, _ most: Int?, isLazy: Bool) throws(ExpressionError) {
    for _ in 0..<least { try emit(node, endsMatch: false) }
    guard let most else {
      let choice = try addChoice()
      try emit(node, endsMatch: false)
      try add(.go(choice))
      return setSecondWay(of: choice, lazily: isLazy)
    }
    var choices: [Int] = []
    for _ in least..<most {
      choices.append(try addChoice())
      try emit(node, endsMatch: false)
    }
    for choice in choices { setSecondWay(of: choice, lazily: isLazy) }
  }

  private mutating func emitLook(_ node: ExpressionNode, _ isBehind: Bool, _ isNegated: Bool) throws(ExpressionError) {
    let at = steps.count
    try add(.go(0))
    var nodes = [node]
    if isBehind, case .choice(let parts) = node { nodes = parts }
    var found: [Way] = []
    for node in nodes {
      found.append(Way(start: steps.count, behind: isBehind ? node.width ?? 0 : 0))
      try emit(node, endsMatch: true)
      try add(.done)
    }
    // A look inside this one has put in its own before.
    ways += found
    steps[at] = .look(ways: ways.count - found.count..<ways.count, isNegated: isNegated, then: steps.count)
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
