import Engine
import Files
import PEFTKernel
import Registry

/// Which rows of one file are learned from, and which are kept for evaluation.
///
/// A permutation of the rows is drawn from the split's own seed. Its first ⌊share · rows + ½⌋ rows, at least one, are `valid`, the next
/// ones `test`, by the same rule; the rest is learned from. Every part keeps the order of the file. The parts follow from the
/// number of rows and the seed alone: neither the run's seed nor the rows' content moves a row from one to another.
public struct DataSplit: Sendable, Equatable {
  /// Places of rows, from 0.
  public private(set) var train: [Int]
  public private(set) var valid: [Int] = []
  public private(set) var test: [Int] = []

  /// Refuses a split that leaves nothing to learn from.
  public init(rows: Int, valid validShare: Double, test testShare: Double, seed: UInt64) throws(Refusal) {
    func count(_ share: Double) -> Int { share > 0 ? max(1, Int((share * Double(rows)).rounded(.toNearestOrAwayFromZero))) : 0 }
    let (validCount, testCount) = (count(validShare), count(testShare))
    guard validCount + testCount < rows else {
      throw Refusal(
        "data.split takes \(validCount) + \(testCount) of \(rows) rows: nothing is left to learn from",
        remedy: "lower its shares, or give more rows")
    }
    var order = Array(0..<rows)
    var random = Philox(key: seed).stream("split")
    order.shuffle(using: &random)
    valid = order[..<validCount].sorted()
    test = order[validCount..<validCount + testCount].sorted()
    train = order[(validCount + testCount)...].sorted()
  }
}
