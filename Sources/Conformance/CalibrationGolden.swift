import Engine
import PEFTKernel
import Registry
import Training

extension GoldenReader {
  /// Reference files of calibration errors, which belong to no method: `probs` [n, C], `labels` [n], and one number a metric.
  static let calibration = GoldenReader(
    reads: { $0.isOf("calibration_metrics") },
    compute: { (file) throws(Refusal) -> GoldenComputation in
      let probabilities = try file.tensor("probs")
      guard let labels = file.integers["labels"] else { throw Refusal("the file has no integers labels") }
      guard probabilities.rank == 2 else { throw Refusal("probs has shape \(probabilities.shape), but must be a matrix") }
      let (values, classes) = (probabilities.values, probabilities.columns)
      let rows = (0..<probabilities.rows).map { Array(values[$0 * classes..<($0 + 1) * classes]) }
      let errors = try CalibrationErrors(
        probabilities: rows, labels: labels, bins: file.int("bins") ?? 10, thresholds: [threshold(of: file)])
      let results = [
        "ece": errors.ece, "mce": errors.mce, "cece": errors.classwiseECE, "ace": errors.ace,
        "ace_classwise": errors.classwiseACE, "tace": errors.thresholded[0].error, "brier": errors.brier,
      ]
      return GoldenComputation(
        entry: "calibration",
        results: Dictionary(uniqueKeysWithValues: results.map { ("expect_" + $0, Tensor([$1], shape: [1], .float64)) }))
    })

  private static func threshold(of file: GoldenFile) -> Double {
    switch file.config["threshold"] {
    case .double(let value): value
    case .int(let value): Double(value)
    default: CalibrationErrors.standardThresholds[0]
    }
  }
}
