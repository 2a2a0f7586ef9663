import Engine
import PEFTKernel
import Synchronization
import Testing

/// A sum that sites hand on.
private struct Trail: Note {
  var sum: Tensor?
  var visits = 0

  var tensors: [Tensor] {
    get { sum.map { [$0] } ?? [] }
    set { sum = newValue.first }
  }
}

/// Three layers that know of each other: each adds its squared output to the trail, looks at it, and adds to the loss.
private struct Layers {
  let weights: [Tensor]

  func layer(_ index: Int, _ x: Tensor, _ pass: Pass) -> Tensor {
    let y = x.multiplied(byTransposeOf: weights[index]).tanh
    var trail = pass[note: Trail.self]
    let blocked = pass.now.stop(y)
    trail.sum = trail.sum.map { $0 * 0.5 + y * blocked } ?? y * y
    trail.visits += 1
    pass[note: Trail.self] = trail
    pass.penalize((y * y).sum * 0.1)
    return x + (trail.sum.map { $0 * y } ?? y)
  }
}

@Suite struct RecomputingPassTests {
  private struct Outcome {
    var loss: Double
    var penalties: [Double]
    var gradients: [Tensor?]
    var runs: Int
    var visits: Int
  }

  /// `parts` says which layers run twice.
  private func outcome(_ parts: Set<Int>, pins: Pins? = nil) -> Outcome {
    var random = Philox(key: 3)
    let x = random.normal([4, 5], deviation: 1, .float64).tracked()
    let weights = (0..<3).map { _ in random.normal([5, 5], deviation: 0.5, .float64).tracked() }
    let layers = Layers(weights: weights)
    let pass = Pass(now: Moment(mode: .training, pins: pins), rows: RowLayout(lengths: [4]), sites: [])
    let runs = Mutex(0)
    var value = x
    for index in 0..<3 {
      func layer(_ x: Tensor, _ pass: Pass) -> Tensor {
        runs.withLock { $0 += 1 }
        return layers.layer(index, x, pass)
      }
      value = parts.contains(index) ? pass.recomputing(value, layer) : layer(value, pass)
    }
    let loss = pass.penalties.reduce((value * value).sum) { $0 + $1 }
    loss.backward()
    return Outcome(
      loss: loss.item, penalties: pass.penalties.map(\.item), gradients: ([x] + weights).map(\.gradient),
      runs: runs.withLock { $0 }, visits: pass[note: Trail.self].visits)
  }

  @Test(arguments: [[0], [1], [2], [0, 1, 2]] as [Set<Int>])
  func whatLayersHandOnCrossesTheBorders(_ parts: Set<Int>) throws {
    let (plain, twice) = (outcome([]), outcome(parts))
    #expect(twice.loss == plain.loss && twice.penalties == plain.penalties && plain.penalties.count == 3)
    #expect(plain.runs == 3 && twice.runs == 3 + parts.count && twice.visits == 3 && plain.visits == 3)
    for (a, b) in zip(plain.gradients, twice.gradients) {
      let (a, b) = (try #require(a), try #require(b))
      #expect((a - b).largestMagnitude <= 1e-14 * a.largestMagnitude)
    }
  }

  /// The second time, what is blocked is what was blocked the first, and none is blocked twice.
  @Test func blockedValuesAreThoseOfTheFirstTime() throws {
    let (pins, others) = (Pins(), Pins())
    let (twice, plain) = (outcome([0, 1, 2], pins: pins), outcome([], pins: others))
    pins.replay()
    others.replay()
    let (again, plainAgain) = (outcome([0, 1, 2], pins: pins), outcome([], pins: others))
    #expect(twice.loss == plain.loss && again.loss == plain.loss && plainAgain.loss == plain.loss)
    for outcome in [again, plainAgain] {
      for (a, b) in zip(outcome.gradients, twice.gradients) {
        let (a, b) = (try #require(a), try #require(b))
        #expect((a - b).largestMagnitude <= 1e-14 * a.largestMagnitude)
      }
    }
  }

  /// A loss that nobody differentiates leaves nothing behind.
  @Test func whatIsNotDifferentiatedIsLetGo() {
    final class Sign: Sendable {}
    weak var sign: Sign?
    do {
      let watched = Sign()
      sign = watched
      let x = Tensor([1, 2]).tracked()
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [1]), sites: [])
      let blank = pass.blank
      _ = pass.recomputing(x) { [watched] x, pass in
        _ = (watched, blank)
        pass.penalize((x * x).sum)
        pass[note: Trail.self].sum = x * 2
        return x * 3
      }
      #expect(pass.penalties.count == 1)
    }
    #expect(sign == nil)
  }
}
