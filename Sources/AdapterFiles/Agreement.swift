import Engine
import Models
import PEFTKernel

/// How far two models' logits are apart on some token ids.
public struct Agreement: Sendable, Hashable {
  /// Largest difference of two logits.
  public var largestDifference: Double
  /// Largest |logit| of the first.
  public var largestLogit: Double
  /// Positions at which both hold the same token for the likeliest.
  public var sameChoices: Int
  public var positions: Int

  /// Compares `model` with `adapter` beside it and `other`, in float as both are used, row by row of `sequences`.
  public init(
    _ model: any LanguageModel, _ adapter: Adapter?, with other: any LanguageModel, _ otherAdapter: Adapter? = nil,
    on sequences: [[Int32]]
  ) throws {
    (largestDifference, largestLogit, sameChoices, positions) = (0, 0, 0, 0)
    for ids in sequences where !ids.isEmpty {
      for model in [model, other] {
        try model.check(length: ids.count)
        try model.check(ids: ids)
      }
      let (a, b) = (Self.logits(model, adapter, ids), Self.logits(other, otherAdapter, ids))
      guard a.shape == b.shape else {
        throw Refusal("the models have vocabularies of \(a.columns) and \(b.columns) tokens")
      }
      let difference = (a - b).largestMagnitude
      // What is no number is no agreement.
      largestDifference = max(largestDifference, a.isFinite && b.isFinite ? difference : .infinity)
      largestLogit = max(largestLogit, a.largestMagnitude)
      let (choices, others) = (Self.choices(a), Self.choices(b))
      sameChoices += zip(choices, others).count { $0 == $1 }
      positions += ids.count
    }
  }

  /// Sequences of ids drawn from a model's vocabulary: `count` of `length`, or of the model's positions where it has fewer.
  public static func randomSequences(
    for model: any LanguageModel, count: Int = 2, length: Int = 64, seed: UInt64 = 0
  ) -> [[Int32]] {
    var random = Philox(key: seed).stream("agreement")
    let length = min(length, model.maximumPositions)
    return (0..<count).map { _ in (0..<length).map { _ in Int32(random.integer(below: model.vocabularySize)) } }
  }

  private static func logits(_ model: any LanguageModel, _ adapter: Adapter?, _ ids: [Int32]) -> Tensor {
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [ids.count]), sites: adapter?.sites ?? [])
    let run = ModelRun(pass: pass, attachment: adapter?.attached())
    return model.logits(model.hidden(ids, run), run)
  }

  private static func choices(_ logits: Tensor) -> [Int] {
    let (values, width) = (logits.floats, logits.columns)
    return (0..<logits.rows).map { row in
      let scores = values[row * width..<(row + 1) * width]
      return scores.indices.max { scores[$0] < scores[$1] } ?? 0
    }
  }
}
