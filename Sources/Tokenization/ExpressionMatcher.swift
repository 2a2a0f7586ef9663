/// Finds the matches of an expression in one text.
///
/// Whether the steps from a choice on lead to a match depends on the place alone, so a choice that failed there once is
/// never taken again, whichever match was being looked for. What is looked for inside an expression is remembered when
/// found, too.
struct ExpressionMatcher {
  private let expression: Expression
  private let bytes: [UInt8]
  private let range: Range<Int>
  private var failures: PlaceSet
  /// Where inner matches end that come by a step at a place.
  private var found: [InnerKey: Int] = [:]
  private var mostFound = 10_000
  /// The last run of each unyielding repetition.
  private var runs: [Range<Int>]
  /// What may yet be tried, the nearest last; inner matches put theirs on top.
  private var alternatives: [Alternative] = []
  /// Choices made and not yet known to fail.
  private var open: [Choice] = []

  private struct InnerKey: Hashable {
    var step: Int
    var place: Int
  }

  private struct Choice {
    var number: Int
    var step: Int
    var place: Int
  }

  private struct Alternative {
    var step: Int
    var place: Int
    /// How many choices stood open when this one was made.
    var open: Int
  }

  init(_ expression: Expression, _ bytes: [UInt8], _ range: Range<Int>) {
    (self.expression, self.bytes, self.range) = (expression, bytes, range)
    failures = PlaceSet(width: expression.choices, start: range.lowerBound)
    runs = Array(repeating: range.lowerBound..<range.lowerBound, count: expression.runs)
  }

  /// No match will begin before that place any more.
  mutating func forget(before place: Int) {
    failures.forget(before: place)
    // What looks behind may still ask, and then finds it out again.
    guard found.count > mostFound else { return }
    found = found.filter { $0.key.place >= place }
    mostFound = max(10_000, 2 * found.count)
  }

  /// The end of the match that begins at a place.
  mutating func match(at place: Int) -> Int? { run(from: 0, at: place) }

  private mutating func run(from start: Int, at first: Int) -> Int? {
    let isInner = start != 0
    let (outerAlternatives, outerChoices) = (alternatives.count, open.count)
    defer {
      alternatives.removeLast(alternatives.count - outerAlternatives)
      open.removeLast(open.count - outerChoices)
    }
    var (step, place) = (start, first)
    while true {
      var isAlive = true
      switch expression.steps[step] {
      case .done: return finish(from: outerChoices, at: place, isInner: isInner)
      case .go(let target): step = target
      case .scalar(let test):
        if place < range.upperBound {
          let scalar = bytes.scalar(at: place)
          isAlive = expression.tests[test].contains(scalar.value)
          (step, place) = (step + 1, scalar.end)
        } else {
          isAlive = false
        }
      case .either(let one, let other, let number):
        if isInner, let end = found[InnerKey(step: step, place: place)] {
          return finish(from: outerChoices, at: end, isInner: true)
        }
        if failures.insert(number, at: place) {
          alternatives.append(Alternative(step: other, place: place, open: open.count))
          open.append(Choice(number: number, step: step, place: place))
          step = one
        } else {
          isAlive = false
        }
      case .all(let test, let most, let number):
        (step, place) = (step + 1, end(ofRun: number, of: test, place, most))
      case .assertion(let assertion):
        isAlive = holds(assertion, at: place)
        step += 1
      case .look(let ways, let isNegated, let then):
        isAlive = looks(ways, at: place) != isNegated
        step = then
      case .atomic(let start, let then):
        if let end = run(from: start, at: place) {
          (step, place) = (then, end)
        } else {
          isAlive = false
        }
      }
      if !isAlive {
        guard alternatives.count > outerAlternatives, let next = alternatives.popLast() else { return nil }
        // The choice itself stays open while its second way is tried.
        open.removeLast(open.count - next.open - 1)
        (step, place) = (next.step, next.place)
      }
    }
  }

  private mutating func finish(from first: Int, at end: Int, isInner: Bool) -> Int {
    // These did not fail: another match may come by here.
    for choice in open[first...] {
      failures.remove(choice.number, at: choice.place)
      if isInner { found[InnerKey(step: choice.step, place: choice.place)] = end }
    }
    return end
  }

  private mutating func looks(_ ways: Range<Int>, at place: Int) -> Bool {
    for way in expression.ways[ways] {
      var start = place
      var left = way.behind
      while left > 0, start > range.lowerBound {
        start = bytes.scalar(endingAt: start).start
        left -= 1
      }
      if left == 0, run(from: way.start, at: start) != nil { return true }
    }
    return false
  }

  private mutating func end(ofRun number: Int, of test: Int, _ place: Int, _ most: Int) -> Int {
    // Inside the last run, what is left of it.
    if most == .max, runs[number].contains(place) { return runs[number].upperBound }
    var left = most
    let end = bytes.skip(from: place, to: range.upperBound) { scalar in
      left -= 1
      return left >= 0 && expression.tests[test].contains(scalar)
    }
    if most == .max, end > place { runs[number] = place..<end }
    return end
  }

  private func holds(_ assertion: ExpressionNode.Assertion, at place: Int) -> Bool {
    let (isStart, isEnd) = (place == range.lowerBound, place == range.upperBound)
    return switch assertion {
    case .textStart: isStart
    case .textEnd: isEnd
    case .textEndOrLastBreak: isEnd || (place + 1 == range.upperBound && bytes[place] == 0x0A)
    case .lineStart: isStart || (bytes[place - 1] == 0x0A && !isEnd)
    case .lineEnd: isEnd || bytes[place] == 0x0A
    case .wordBoundary: isWord(before: place) != isWord(after: place)
    case .noWordBoundary: isWord(before: place) == isWord(after: place)
    }
  }

  private func isWord(before place: Int) -> Bool {
    place > range.lowerBound && ScalarTest.Property.bareWord.holds(for: bytes.scalar(endingAt: place).value)
  }

  private func isWord(after place: Int) -> Bool {
    place < range.upperBound && ScalarTest.Property.bareWord.holds(for: bytes.scalar(at: place).value)
  }
}

/// Which choices were made at which places, in blocks that go as the text is left behind.
private struct PlaceSet {
  private static let span = 64
  private let words: Int
  private let start: Int
  private var blocks: [[UInt64]] = []
  private var dropped = 0

  init(width: Int, start: Int) {
    words = (width + 63) / 64
    self.start = start
  }

  /// Whether it was not there yet.
  mutating func insert(_ number: Int, at place: Int) -> Bool {
    let block = (place - start) / Self.span
    // What is looked for behind may lie in what was dropped: there nothing is remembered, and nothing repeats for long.
    while blocks.count <= block { blocks.append([]) }
    if blocks[block].isEmpty { blocks[block] = [UInt64](repeating: 0, count: words * Self.span) }
    let word = (place - start) % Self.span * words + number / 64
    let bit = UInt64(1) << UInt64(number % 64)
    guard blocks[block][word] & bit == 0 else { return false }
    blocks[block][word] |= bit
    return true
  }

  mutating func remove(_ number: Int, at place: Int) {
    let block = (place - start) / Self.span
    guard block < blocks.count, !blocks[block].isEmpty else { return }
    blocks[block][(place - start) % Self.span * words + number / 64] &= ~(UInt64(1) << UInt64(number % 64))
  }

  mutating func forget(before place: Int) {
    let block = (place - start) / Self.span
    while dropped < min(block, blocks.count) {
      blocks[dropped] = []
      dropped += 1
    }
  }
}
