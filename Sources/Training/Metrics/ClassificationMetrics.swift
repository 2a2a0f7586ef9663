import JSON
import PEFTKernel

/// How well a classifier chooses one class of several, and how far its probabilities can be believed.
///
/// Scores are those of scikit-learn (`precision_recall_fscore_support`, `f1_score(average="macro")`), with 0/0 = 0 everywhere.
public struct ClassificationMetrics: Sendable, Hashable {
  /// One class against all others.
  public struct Score: Sendable, Hashable {
    public var name: String
    /// Of the examples that were called so, the share that are; 0 where none was.
    public var precision: Double
    /// Of the examples that are so, the share that were called so; 0 where none is.
    public var recall: Double
    /// 2·TP / (2·TP + FP + FN), the harmonic mean of the two.
    public var f1: Double
    /// Examples that are of this class.
    public var support: Int
    /// Examples that were said to be.
    public var predicted: Int
  }

  /// Of the classes, by id.
  public let names: [String]
  /// Examples by class and by what they were taken for: [class][predicted class].
  public let confusion: [[Int]]
  public let calibration: CalibrationErrors

  /// - Parameters:
  ///   - probabilities: [examples][classes]; rows sum to 1 within 1e-3. The likeliest class, the first of equals, is the one chosen.
  ///   - labels: the class of each example, from 0.
  ///   - names: one a class.
  ///   - bins: that calibration errors are computed with.
  /// - Throws: what ``CalibrationErrors`` refuses, and names that are more or fewer than the classes.
  public init(probabilities: [[Double]], labels: [Int], names: [String], bins: Int = 10) throws(Refusal) {
    calibration = try CalibrationErrors(probabilities: probabilities, labels: labels, bins: bins)
    let classes = probabilities[0].count
    guard names.count == classes else { throw Refusal("there are \(names.count) names, and probabilities of \(classes) classes") }
    var confusion = [[Int]](repeating: [Int](repeating: 0, count: classes), count: classes)
    for (row, label) in zip(probabilities, labels) { confusion[label][CalibrationErrors.likeliest(row)] += 1 }
    self.names = names
    self.confusion = confusion
  }

  /// Examples that were judged.
  public var count: Int { confusion.reduce(0) { $0 + $1.reduce(0, +) } }

  /// Examples whose class was the one chosen.
  public var hits: Int { confusion.indices.reduce(0) { $0 + confusion[$1][$1] } }

  /// ``hits`` / ``count``.
  public var accuracy: Double { Self.share(hits, of: count) }

  /// By class id.
  public var scores: [Score] {
    names.indices.map { index in
      let (right, support) = (confusion[index][index], confusion[index].reduce(0, +))
      let predicted = confusion.reduce(0) { $0 + $1[index] }
      return Score(
        name: names[index], precision: Self.share(right, of: predicted), recall: Self.share(right, of: support),
        f1: Self.share(2 * right, of: predicted + support), support: support, predicted: predicted)
    }
  }

  /// The mean F1 of the classes that some example has, or was taken for; the others have nothing to say.
  public var macroF1: Double {
    let seen = scores.filter { $0.support + $0.predicted > 0 }
    return seen.reduce(0) { $0 + $1.f1 } / Double(seen.count)
  }

  private static func share(_ part: Int, of whole: Int) -> Double { whole == 0 ? 0 : Double(part) / Double(whole) }
}

extension ClassificationMetrics {
  /// Keys in this order; `confusion` has a row for each class, with what its examples were taken for.
  public var json: JSON {
    [
      "examples": .int(count), "accuracy": .double(accuracy), "macro_f1": .double(macroF1), "calibration": calibration.json,
      "classes": .array(
        scores.map {
          [
            "name": .string($0.name), "precision": .double($0.precision), "recall": .double($0.recall), "f1": .double($0.f1),
            "support": .int($0.support),
          ]
        }),
      "confusion": .array(confusion.map { .array($0.map { .int($0) }) }),
    ]
  }
}

extension CalibrationErrors {
  /// Keys in this order; `tace` has an error for each threshold.
  public var json: JSON {
    [
      "bins": .int(bins), "ece": .double(ece), "mce": .double(mce), "classwise_ece": .double(classwiseECE), "ace": .double(ace),
      "classwise_ace": .double(classwiseACE),
      "tace": .array(thresholded.map { ["threshold": .double($0.threshold), "error": .double($0.error)] }),
      "brier": .double(brier),
    ]
  }
}
