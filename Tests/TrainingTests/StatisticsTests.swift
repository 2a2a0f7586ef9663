import Testing

@testable import Training

/// Against printed tables and numbers worked out by hand.
@Suite struct StatisticsTests {
  @Test(arguments: [
    (1, 12.706204736), (2, 4.302652730), (3, 3.182446305), (4, 2.776445105), (5, 2.570581836), (9, 2.262157163),
    (10, 2.228138852), (30, 2.042272456), (120, 1.979930405),
  ])
  func quantilesAreThoseOfTheTables(_ degrees: Int, _ expected: Double) {
    #expect(abs(Statistics.tQuantile(degrees: degrees) - expected) < 1e-8)
  }

  @Test func otherSharesToo() {
    #expect(abs(Statistics.tQuantile(degrees: 4, inside: 0.99) - 4.604094871) < 1e-8)
    #expect(abs(Statistics.tQuantile(degrees: 7, inside: 0.5) - 0.711141778) < 1e-8)
  }

  @Test func intervals() throws {
    // Of 1, 2, 4: variance 7/3, so t · √(7/9).
    let interval = try #require(Interval([1, 2, 4]))
    #expect(abs(interval.mean - 7.0 / 3) < 1e-12 && interval.count == 3)
    #expect(abs(try #require(interval.halfWidth) - 4.302652730 * (7.0 / 9).squareRoot()) < 1e-8)
    // Equal values leave no doubt; a single one leaves everything open.
    #expect(Interval([5, 5])?.halfWidth == 0)
    #expect(Interval([5])?.halfWidth == nil && Interval([5])?.mean == 5)
    #expect(Interval([]) == nil)
  }

  @Test func medians() {
    #expect(Statistics.median([3, 1, 2]) == 2 && Statistics.median([4, 1, 2, 3]) == 2.5 && Statistics.median([]) == nil)
  }

  @Test func crossings() {
    let curve = [(step: 0, loss: 5.0), (step: 10, loss: 4.0), (step: 20, loss: 2.0), (step: 30, loss: 3.0)]
    #expect(Statistics.step(reaching: 4.5, on: curve) == 5)
    #expect(Statistics.step(reaching: 3, on: curve) == 15)
    #expect(Statistics.step(reaching: 6, on: curve) == 0)
    #expect(Statistics.step(reaching: 2, on: curve) == 20)
    #expect(Statistics.step(reaching: 1.9, on: curve) == nil)
  }
}
