import PEFTKernel

/// How far a classifier's probabilities can be believed: what is said with probability p should come true p of the time.
///
/// The definitions are those of HypeLoRA [arXiv:2603.19278]. An example's confidence is its largest probability, a hit is an example
/// whose likeliest class (the first of equals) is its label. Fixed bins divide (0, 1] at k / bins, the upper edge belonging to a bin,
/// and 0 to the first; bins of equal count hold ⌊n / bins⌋ values each in ascending order, the last one the rest too. Bins without
/// a value are passed over. Sums are in double.
public struct CalibrationErrors: Sendable, Hashable {
  /// The error over those pairs of example and class alone whose probability is at least a threshold.
  public struct Thresholded: Sendable, Hashable {
    public var threshold: Double
    public var error: Double
  }

  /// Of every division into bins.
  public let bins: Int
  /// Expected calibration error: |hits' share − mean confidence| of the fixed bins, each weighted by its examples. In [0, 1].
  public let ece: Double
  /// Maximum calibration error: the largest of these differences.
  public let mce: Double
  /// The ECE of every class's probability against its being the label, averaged over the classes.
  public let classwiseECE: Double
  /// Adaptive calibration error: as ``ece``, with bins of equal count.
  public let ace: Double
  /// As ``classwiseECE``, with bins of equal count.
  public let classwiseACE: Double
  /// As ``ace``, over the pairs of example and class whose probability is not below a threshold; 0 where there are none.
  public let thresholded: [Thresholded]
  /// Mean of Σ over the classes of (p − 1 of the label, 0 of others)². In [0, 2].
  public let brier: Double

  /// The thresholds that are usual.
  public static let standardThresholds = [0.01, 0.001, 0.0001]

  /// - Parameters:
  ///   - probabilities: [examples][classes]; rows sum to 1 within 1e-3.
  ///   - labels: the class of each example, from 0.
  /// - Throws: of no examples, fewer than two classes, what is no probability, labels that no class has, and bins below 1 or beyond
  ///   a million, with the example's place.
  public init(
    probabilities: [[Double]], labels: [Int], bins: Int = 10, thresholds: [Double] = Self.standardThresholds
  ) throws(Refusal) {
    try Self.check(probabilities, labels, bins)
    let (count, classes) = (Double(labels.count), probabilities[0].count)
    let top = zip(probabilities, labels).map { row, label in
      let choice = Self.likeliest(row)
      return Forecast(probability: row[choice], isTrue: choice == label)
    }
    let perClass = (0..<classes).map { index in
      zip(probabilities, labels).map { Forecast(probability: $0[index], isTrue: $1 == index) }
    }
    self.bins = bins
    let fixed = Bin.fixed(top, bins)
    ece = Bin.error(fixed)
    mce = fixed.map { $0.excess / Double($0.count) }.max() ?? 0
    classwiseECE = perClass.reduce(0) { $0 + Bin.error(Bin.fixed($1, bins)) } / Double(classes)
    ace = Bin.error(Bin.equal(top, bins))
    classwiseACE = perClass.reduce(0) { $0 + Bin.error(Bin.equal($1, bins)) } / Double(classes)
    // Example by example, so that equal probabilities keep that order.
    let pairs = zip(probabilities, labels).flatMap { row, label in
      row.enumerated().map { Forecast(probability: $1, isTrue: $0 == label) }
    }
    thresholded = thresholds.map { threshold in
      Thresholded(threshold: threshold, error: Bin.error(Bin.equal(pairs.filter { $0.probability >= threshold }, bins)))
    }
    brier = pairs.reduce(0) { $0 + ($1.probability - $1.truth) * ($1.probability - $1.truth) } / count
  }

  /// The class of the largest probability, the first of equals.
  static func likeliest(_ row: [Double]) -> Int {
    var best = 0
    for index in row.indices where row[index] > row[best] { best = index }
    return best
  }

  private static func check(_ probabilities: [[Double]], _ labels: [Int], _ bins: Int) throws(Refusal) {
    guard (1...1_000_000).contains(bins) else {
      throw Refusal("there cannot be \(bins) bins", remedy: "use 1 to 1000000, 10 as a rule")
    }
    guard let first = probabilities.first else {
      throw Refusal("there are no examples: nothing can be said of a classifier", remedy: "give at least one")
    }
    guard probabilities.count == labels.count else {
      throw Refusal("there are probabilities of \(probabilities.count) examples, and \(labels.count) labels")
    }
    guard first.count >= 2 else {
      throw Refusal("there is nothing to choose from: \(first.count == 1 ? "one class" : "no classes")", remedy: "two are needed")
    }
    for (index, (row, label)) in zip(probabilities, labels).enumerated() {
      let place = "example \(index + 1)"
      guard row.count == first.count else {
        throw Refusal("\(place) has probabilities of \(row.count) classes, the first of \(first.count)")
      }
      if let wrong = row.firstIndex(where: { !$0.isFinite || $0 < 0 }) {
        throw Refusal(
          "\(place) has the probability \(row[wrong].isNaN ? "nan" : "\(row[wrong])") of class \(wrong)",
          remedy: "numbers from 0 to 1 are wanted")
      }
      let sum = row.reduce(0, +)
      guard (sum - 1).magnitude <= 1e-3 else {
        throw Refusal("the probabilities of \(place) sum to \(sum)", remedy: "give those of a softmax, whose sum is 1")
      }
      guard row.indices.contains(label) else {
        throw Refusal("\(place) has the label \(label); there are classes 0 to \(row.count - 1)")
      }
    }
  }
}

/// Something said with a probability, and whether it came true.
private struct Forecast {
  var probability: Double
  var isTrue: Bool

  var truth: Double { isTrue ? 1 : 0 }
}

/// Forecasts of like probability.
private struct Bin {
  var count = 0
  /// What came true, and what was to be expected to.
  var hits = 0.0
  var sum = 0.0

  /// |hits − Σ p|: the difference of the means, times the forecasts.
  var excess: Double { (hits - sum).magnitude }

  mutating func add(_ forecast: Forecast) {
    count += 1
    hits += forecast.truth
    sum += forecast.probability
  }

  /// Σ n_k / n · |share of hits − mean probability|, 0 of nothing.
  static func error(_ bins: [Bin]) -> Double {
    let count = bins.reduce(0) { $0 + $1.count }
    return count == 0 ? 0 : bins.reduce(0) { $0 + $1.excess } / Double(count)
  }

  /// Bins between k / bins and (k + 1) / bins, those that hold something.
  static func fixed(_ forecasts: [Forecast], _ bins: Int) -> [Bin] {
    var found: [Int: Bin] = [:]
    for forecast in forecasts { found[index(of: forecast.probability, bins), default: Bin()].add(forecast) }
    return found.sorted { $0.key < $1.key }.map(\.value)
  }

  /// The bin a probability falls in. Above 1, where rounding may put it, is the last one.
  private static func index(of value: Double, _ bins: Int) -> Int {
    let width = Double(bins)
    var index = min(bins - 1, max(0, Int((value * width).rounded(.up)) - 1))
    // The product is rounded; the edges themselves decide.
    while index > 0, value <= Double(index) / width { index -= 1 }
    while index < bins - 1, value > Double(index + 1) / width { index += 1 }
    return index
  }

  /// Bins of ⌊n / bins⌋ forecasts in ascending order, equal ones as they came; the last takes the rest, or all of too few.
  static func equal(_ forecasts: [Forecast], _ bins: Int) -> [Bin] {
    let order = forecasts.indices.sorted {
      (forecasts[$0].probability, $0) < (forecasts[$1].probability, $1)
    }
    let size = forecasts.count / bins
    guard size > 0 else { return [filled(forecasts)] }
    return (0..<bins).map { bin in
      filled(order[bin * size..<(bin == bins - 1 ? order.count : (bin + 1) * size)].map { forecasts[$0] })
    }
  }

  private static func filled(_ forecasts: [Forecast]) -> Bin {
    var bin = Bin()
    for forecast in forecasts { bin.add(forecast) }
    return bin
  }
}
