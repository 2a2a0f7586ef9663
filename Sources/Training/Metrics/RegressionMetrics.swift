import JSON
import PEFTKernel

/// How near predicted numbers come to the right ones.
public struct RegressionMetrics: Sendable, Hashable {
  /// Pairs of numbers.
  public let count: Int
  /// Mean of (prediction − target)².
  public let meanSquaredError: Double
  /// Correlation of the numbers, in [−1, 1]; nil where either side is constant.
  public let pearson: Double?
  /// Correlation of their ranks, of equal numbers the mean of theirs; nil where ``pearson`` is.
  public let spearman: Double?

  /// - Throws: of no numbers, unequal counts, and what is no finite number.
  public init(predictions: [Double], targets: [Double]) throws(Refusal) {
    guard predictions.count == targets.count else {
      throw Refusal("there are \(predictions.count) predictions, and \(targets.count) targets")
    }
    guard !predictions.isEmpty else { throw Refusal("there are no predictions: nothing can be said of them") }
    for (what, values) in [("prediction", predictions), ("target", targets)] {
      guard let wrong = values.firstIndex(where: { !$0.isFinite }) else { continue }
      throw Refusal("\(what) \(wrong + 1) is \(values[wrong].isNaN ? "nan" : "\(values[wrong])"), no finite number")
    }
    count = predictions.count
    meanSquaredError = zip(predictions, targets).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(count)
    pearson = Self.correlation(predictions, targets)
    spearman = Self.correlation(Self.ranks(predictions), Self.ranks(targets))
  }

  private static func correlation(_ a: [Double], _ b: [Double]) -> Double? {
    guard let (a, b) = directions(a, b) else { return nil }
    let product = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    return min(1, max(-1, product))
  }

  private static func directions(_ a: [Double], _ b: [Double]) -> ([Double], [Double])? {
    guard let a = direction(a), let b = direction(b) else { return nil }
    return (a, b)
  }

  /// The values less their mean, at length 1; nil of a constant.
  private static func direction(_ values: [Double]) -> [Double]? {
    guard values.contains(where: { $0 != values[0] }) else { return nil }
    // Sums and squares of large numbers would not fit; a power of two changes no digit.
    let size = values.reduce(0) { max($0, $1.magnitude) }
    let scale = Double(sign: .plus, exponent: max(-1000, min(1000, -Int(size.exponent))), significand: 1)
    let scaled = values.map { $0 * scale }
    let mean = scaled.reduce(0, +) / Double(scaled.count)
    let centred = scaled.map { $0 - mean }
    let length = centred.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return length > 0 ? centred.map { $0 / length } : nil
  }

  /// Places in ascending order, from 1.
  private static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
      for place in order[start..<end] { ranks[place] = Double(start + end + 1) / 2 }
      start = end
    }
    return ranks
  }
}

extension RegressionMetrics {
  /// Keys in this order; a correlation that does not exist is `null`.
  public var json: JSON {
    [
      "examples": .int(count), "mse": .double(meanSquaredError), "pearson": .init(pearson), "spearman": .init(spearman),
    ]
  }
}
