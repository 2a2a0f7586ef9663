#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A mean with the half of its 95 % interval: the true mean lies within, if the values are normal, in 19 of 20 such samples.
public struct Interval: Sendable, Equatable {
  public var mean: Double
  /// Student's t for the sample's size times the standard error; nil for a single value.
  public var halfWidth: Double?
  /// Values it is made of.
  public var count: Int

  /// Nil of no values.
  public init?(_ values: [Double]) {
    guard !values.isEmpty else { return nil }
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    self.mean = mean
    count = values.count
    guard values.count > 1 else { return }
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (n - 1)
    halfWidth = Statistics.tQuantile(degrees: values.count - 1) * (variance / n).squareRoot()
  }
}

/// The little statistics that a comparison needs.
public enum Statistics {
  /// The t beyond which, on both sides together, lies one twentieth of Student's distribution.
  public static func tQuantile(degrees: Int, inside share: Double = 0.95) -> Double {
    precondition(degrees > 0 && share > 0 && share < 1)
    var (low, high) = (0.0, 1.0)
    while probability(within: high, degrees: degrees) < share { high *= 2 }
    for _ in 0..<200 {
      let middle = (low + high) / 2
      if middle == low || middle == high { break }
      if probability(within: middle, degrees: degrees) < share { low = middle } else { high = middle }
    }
    return (low + high) / 2
  }

  /// P(|T| ≤ t), the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4.
  static func probability(within t: Double, degrees: Int) -> Double {
    let angle = atan(t / Double(degrees).squareRoot())
    let (sine, cosine) = (sin(angle), cos(angle))
    let isOdd = degrees % 2 == 1
    guard degrees > 1 else { return 2 * angle / .pi }
    var (term, sum) = (isOdd ? cosine : 1.0, 0.0)
    var k = isOdd ? 3 : 2
    while k <= degrees {
      sum += term
      term *= cosine * cosine * Double(k - 1) / Double(k)
      k += 2
    }
    return isOdd ? 2 / .pi * (angle + sine * sum) : sine * sum
  }

  /// The middle value, or the mean of the two middle ones; nil of none.
  public static func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// The first step at which a curve, straight between its points, is as low as `target`; nil where it never is.
  public static func step(reaching target: Double, on curve: [(step: Int, loss: Double)]) -> Double? {
    for (index, point) in curve.enumerated() where point.loss <= target {
      guard index > 0 else { return Double(point.step) }
      let before = curve[index - 1]
      let share = (before.loss - target) / (before.loss - point.loss)
      return Double(before.step) + share * Double(point.step - before.step)
    }
    return nil
  }
}
