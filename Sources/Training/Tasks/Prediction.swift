import Engine
import Models
import PEFTKernel
import Registry

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What an encoder makes of an input by itself.
public struct Prediction: Sendable {
  /// The likeliest class first; none where the task knows no classes.
  public var classes: [(name: String, probability: Double)]
  /// The text's vector, of length 1; none where the task has classes.
  public var vector: [Float]
}

extension TaskSetup {
  /// The examples of inputs, whatever is known of them; with labels or without.
  public func inputs(of path: String) throws -> [Example] {
    let rows = try reader.rows(of: path)
    return try reader.inputs(rows, of: path)
  }

  /// The examples of texts.
  public func inputs(_ texts: [String]) throws -> [Example] {
    try reader.inputs(texts.map { DataRow(place: "--text", .text($0)) }, of: "--text")
  }

  /// What the model, with an adapter perhaps, makes of inputs, in their order.
  public func predictions(
    _ inputs: [Example], adapter: Adapter?, tokensPerBatch: Int = Evaluation.standardBatch, seen: (Prediction) -> Void
  ) {
    let now = Moment(mode: .evaluation)
    let attachment = adapter?.attached(now)
    let names = objective.classNames
    for range in Evaluation.batches(inputs, tokensPerBatch: tokensPerBatch) {
      let batch = Batch(Array(inputs[range]))
      let pass = Pass(now: now, rows: batch.rows, sites: adapter?.sites ?? [])
      guard let answers = objective.answers(batch, ModelRun(pass: pass, attachment: attachment)) else { return }
      let (floats, width) = (answers.floats, answers.columns)
      for row in 0..<range.count {
        guard !names.isEmpty else {
          seen(Prediction(classes: [], vector: Array(floats[row * width..<(row + 1) * width])))
          continue
        }
        let logits = floats[row * width..<(row + 1) * width].map(Double.init)
        let likely = zip(names, logProbabilities(logits).map { exp($0) }).sorted { $0.1 > $1.1 }
        seen(Prediction(classes: likely.map { (name: $0.0, probability: $0.1) }, vector: []))
      }
    }
  }
}
