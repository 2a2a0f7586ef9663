import Testing

@testable import Engine

/// Parts that are computed twice and kept once.
@Suite struct RecomputationTests {
  /// tanh(x·Wᵀ) and its square, times a leaf that is no input.
  private static func part(_ x: Tensor, _ w: Tensor, _ gains: Tensor) -> [Tensor] {
    let y = x.multiplied(byTransposeOf: w).tanh
    return [y.multipliedByRow(gains), y * y]
  }

  private struct Problem {
    var x: Tensor
    var w: Tensor
    var gains: Tensor
    var seeds: [Tensor]

    init() {
      var random = Philox(key: 5)
      x = random.normal([7, 4], deviation: 1).tracked()
      w = random.normal([6, 4], deviation: 1).tracked()
      gains = random.normal([6], deviation: 1).tracked()
      seeds = [random.normal([7, 6], deviation: 1), random.normal([7, 6], deviation: 1)]
    }

    var gradients: [[Float]?] { [x, w, gains].map { $0.gradient?.floats } }
  }

  @Test func gradientsAreThoseOfOneRun() {
    let (plain, twice) = (Problem(), Problem())
    let whole = Self.part(plain.x, plain.w, plain.gains)
    Tensor.backward(zip(whole, plain.seeds).map { ($0, $1) })
    let parts = Tensor.recomputed(from: [twice.x]) {
      Self.part($0[0], twice.w, twice.gains)
    } again: {
      Self.part($0[0], twice.w, twice.gains)
    }
    #expect(zip(parts, whole).allSatisfy { $0.floats == $1.floats })
    Tensor.backward(zip(parts, twice.seeds).map { ($0, $1) })
    #expect(twice.gradients == plain.gradients && plain.gradients.allSatisfy { $0 != nil })
  }

  /// A part behind a part that holds a part, and x used beside them: sums in the order of a single run.
  @Test func partsMayFollowAndHoldOneAnother() {
    func value(_ p: Problem, _ part: @escaping (Tensor, @escaping (Tensor) -> Tensor) -> Tensor) -> Tensor {
      let inner = part(p.x) { x in
        part(x * x) { Self.part($0, p.w, p.gains)[1] } + Self.part(x, p.w, p.gains)[0]
      }
      let outer = part(inner) { ($0 * 0.3).tanh.multipliedByRow(p.gains) }
      return outer.sum + (p.x * p.x).sum
    }
    let (plain, twice) = (Problem(), Problem())
    value(plain) { $1($0) }.backward()
    value(twice) { x, part in Tensor.recomputed(from: [x], first: { [part($0[0])] }, again: { [part($0[0])] })[0] }.backward()
    #expect(twice.gradients == plain.gradients && plain.gradients.allSatisfy { $0 != nil })
  }

  /// History that parts share is differentiated once, when all of them have added to its gradient.
  @Test func whatWasMadeBeforeWaitsForAllParts() {
    func value(_ p: Problem, _ part: @escaping (Tensor, @escaping (Tensor) -> Tensor) -> Tensor) -> Tensor {
      let made = (p.gains * 2).tanh
      let first = part(p.x) { $0.multiplied(byTransposeOf: p.w).multipliedByRow(made) }
      return (part(first) { $0.tanh.multipliedByRow(made * made) }).sum + made.sum
    }
    let (plain, twice) = (Problem(), Problem())
    value(plain) { $1($0) }.backward()
    value(twice) { x, part in Tensor.recomputed(from: [x], first: { [part($0[0])] }, again: { [part($0[0])] })[0] }.backward()
    for (a, b) in zip(twice.gradients, plain.gradients) {
      for (a, b) in zip(a ?? [], b ?? [.nan]) { #expect(abs(a - b) < 1e-5 * (1 + abs(b))) }
      #expect(a != nil && b != nil)
    }
  }

  @Test func whatNeedsNoGradientRunsOnce() {
    let x = Tensor([1, 2])
    let results = Tensor.recomputed(from: [x]) {
      [$0[0] * $0[0]]
    } again: { _ in
      Issue.record("runs again")
      return []
    }
    #expect(results[0].values == [1, 4] && !results[0].hasHistory)
  }

  /// What is handed through is not the part's: its gradient does not make it run.
  @Test func inputsThatAreResultsStayWhatTheyAre() {
    let (x, z) = (Tensor([1, 2]).tracked(), Tensor([3, 4]).tracked())
    let results = Tensor.recomputed(from: [x, z]) {
      [$0[0] * 2, $0[1]]
    } again: { _ in
      Issue.record("runs again")
      return []
    }
    #expect(results[1].isSame(as: z))
    results[1].sum.backward()
    #expect(z.gradient?.values == [1, 1] && x.gradient == nil)
  }

  @Test func onlyTheInputIsKept() {
    let size = 4 << 20
    let x = Tensor(repeating: 0.1, shape: [size / 4]).tracked()
    func depth(_ x: Tensor) -> Tensor { (0..<10).reduce(x) { x, _ in x.tanh } }
    let plain = MemoryMeter.measure { depth(x) }.peak
    let twice = MemoryMeter.measure { Tensor.recomputed(from: [x], first: { [depth($0[0])] }, again: { [depth($0[0])] }) }.peak
    // A result and the operation that makes the next of it.
    #expect(plain >= 10 * size && twice < 3 * size, "\(plain) and \(twice) bytes")
  }

  @Test func observersSeeWhatComesBackOnce() {
    let (x, seen) = (Tensor([1, 2]), Counter())
    let part = { (inputs: [Tensor]) in [(inputs[0] * 2).observingGradient { _ in seen.count += 1 }] }
    let results = Tensor.recomputed(from: [x], first: part, again: part)
    #expect(seen.count == 0 && results[0].hasHistory)
    results[0].sum.backward()
    #expect(seen.count == 1)
  }

  // Unchecked: one task counts.
  private final class Counter: @unchecked Sendable { var count = 0 }

  /// The second run is charged apart, what it records to its own phases.
  @Test func theClockTellsTheSecondRunApart() {
    let x = Tensor(repeating: 0.1, shape: [1 << 18]).tracked()
    let part = { (inputs: [Tensor]) in [Phase.base.spent { (0..<8).reduce(inputs[0]) { x, _ in x.tanh } }] }
    let forward = PhaseClock.measure { Tensor.recomputed(from: [x], first: part, again: part)[0] }
    #expect(forward.seconds[.base] ?? 0 > 0 && forward.seconds[.recompute] == nil)
    let back = PhaseClock.measure { forward.result.sum.backward() }.seconds
    #expect(back[.recompute] ?? 0 > 0)
    let both = PhaseClock.measure { Tensor.recomputed(from: [x], first: part, again: part)[0].sum.backward() }.seconds
    #expect(both[.base] ?? 0 > 0 && both[.recompute] ?? 0 > 0)
  }
}
