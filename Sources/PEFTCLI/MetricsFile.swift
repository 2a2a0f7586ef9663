import Files
import JSON
import Training

/// What a run's `metrics.jsonl` tells.
enum MetricsFile {
  /// The evaluations in it, in order; none where there is no such file.
  static func evaluations(_ path: String) -> [(step: Int, evaluation: Evaluation)] {
    lines(path).compactMap { line in
      guard let step = line["step"]?.int, let loss = line["eval_loss"]?.double else { return nil }
      return (step, Evaluation(loss: loss, tokens: line["eval_tokens"]?.int ?? 0))
    }
  }

  /// The losses of the steps in it, in order.
  static func losses(_ path: String) -> [(step: Int, loss: Double)] {
    lines(path).compactMap { line in
      guard let step = line["step"]?.int, let loss = line["loss"]?.double else { return nil }
      return (step, loss)
    }
  }

  private static func lines(_ path: String) -> [JSON] {
    guard let text = try? TextFile.read(path) else { return [] }
    return text.split(separator: "\n").compactMap { try? JSON(parsing: String($0)) }
  }
}
