import Files
import Training

/// What a classifier's metrics are, for people.
struct ClassificationReport {
  let metrics: ClassificationMetrics

  /// Characters of a class's name.
  private static let nameWidth = 24
  /// Mistakes that are listed where the whole table has no room.
  private static let mistakes = 10

  init(_ metrics: ClassificationMetrics) { self.metrics = metrics }

  /// Accuracy, macro F1 and calibration; a row a class; what the classes were taken for, where that fits into `width` columns,
  /// else the commonest mistakes.
  func lines(width: Int) -> [String] { summary + [""] + classes + [""] + confusion(width) }

  private var summary: [String] {
    let errors = metrics.calibration
    return [
      "accuracy    \(number(metrics.accuracy)), \(Format.grouped(metrics.hits)) of \(Format.grouped(metrics.count))",
      "macro F1    \(number(metrics.macroF1))",
      "ECE         \(number(errors.ece)), in \(Format.grouped(errors.bins)) bins",
      "MCE         \(number(errors.mce))",
      "ACE         \(number(errors.ace))",
    ]
  }

  private var classes: [String] {
    let rows = zip(names, metrics.scores).map { name, score in
      [name, number(score.precision), number(score.recall), number(score.f1), Format.grouped(score.support)]
    }
    return Format.table([["class", "precision", "recall", "F1", "examples"]] + rows, right: [1, 2, 3, 4])
  }

  private func confusion(_ width: Int) -> [String] {
    let rows = zip(names, metrics.confusion).map { name, row in [name] + row.map(Format.grouped) }
    let table = Format.table([["is \\ taken for"] + names] + rows, right: Set(1...names.count))
    if table.allSatisfy({ $0.count <= width }) { return table }
    let wrong = metrics.confusion.indices.flatMap { right in
      metrics.confusion.indices.filter { $0 != right && metrics.confusion[right][$0] > 0 }.map {
        (count: metrics.confusion[right][$0], right: right, taken: $0)
      }
    }
    guard !wrong.isEmpty else { return ["no example was taken for another class"] }
    // Equal counts in the order of the classes.
    let order = wrong.sorted { ($1.count, $0.right, $0.taken) < ($0.count, $1.right, $1.taken) }.prefix(Self.mistakes)
    return Format.table(
      [["is", "taken for", "examples"]] + order.map { [names[$0.right], names[$0.taken], Format.grouped($0.count)] }, right: [2])
  }

  /// Strangers wrote them: none may break a line, or the table.
  private var names: [String] { metrics.names.map { printable($0, limit: Self.nameWidth) } }

  private func number(_ value: Double) -> String { Format.fixed(value, 4) }
}
