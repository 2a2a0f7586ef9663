import Engine
import Models
import PEFTKernel

/// How far the outputs of two models are apart: logits where they give some, else what their encoders give.
public struct Agreement: Sendable, Hashable {
  /// What two models are compared on.
  public enum Sample: Sendable {
    /// One text.
    case ids([Int32])
    /// Images [count, channels, height, width].
    case pixels(Tensor)
  }

  /// Largest difference of two outputs.
  public var largestDifference: Double
  /// Largest |output| of the first.
  public var largestLogit: Double
  /// Positions at which both hold the same token, or class, for the likeliest.
  public var sameChoices: Int
  public var positions: Int

  /// Compares `model` with `adapter` beside it and `other`, in float as both are used, one sample after the other.
  public init(
    _ model: any Model, _ adapter: Adapter?, with other: any Model, _ otherAdapter: Adapter? = nil, on samples: [Sample]
  ) throws {
    (largestDifference, largestLogit, sameChoices, positions) = (0, 0, 0, 0)
    for sample in samples {
      if case .ids(let ids) = sample, ids.isEmpty { continue }
      let (a, b) = (try Self.output(model, adapter, sample), try Self.output(other, otherAdapter, sample))
      guard a.shape == b.shape else {
        throw Refusal("the models give \(a.columns) and \(b.columns) numbers a position")
      }
      let difference = (a - b).largestMagnitude
      // What is no number is no agreement.
      largestDifference = max(largestDifference, a.isFinite && b.isFinite ? difference : .infinity)
      largestLogit = max(largestLogit, a.largestMagnitude)
      let (choices, others) = (Self.choices(a), Self.choices(b))
      sameChoices += zip(choices, others).count { $0 == $1 }
      positions += a.rows
    }
  }

  /// The same of texts, row by row of `sequences`.
  public init(
    _ model: any Model, _ adapter: Adapter?, with other: any Model, _ otherAdapter: Adapter? = nil, on sequences: [[Int32]]
  ) throws {
    try self.init(model, adapter, with: other, otherAdapter, on: sequences.map { Sample.ids($0) })
  }

  /// What a model reads, drawn: `count` texts of `length` ids of its vocabulary, or of its positions where it has fewer; as many images.
  public static func randomSamples(
    for model: any Model, count: Int = 2, length: Int = 64, seed: UInt64 = 0
  ) -> [Sample] {
    var random = Philox(key: seed).stream("agreement")
    var samples: [Sample] = []
    if let model = model as? any TextModel {
      let length = min(length, model.maximumPositions)
      for _ in 0..<count {
        samples.append(.ids((0..<length).map { _ in Int32(random.integer(below: model.vocabularySize)) }))
      }
    }
    if let image = (model as? any ImageEncoder)?.image {
      samples.append(.pixels(random.normal([count, image.channels, image.height, image.width], deviation: 1)))
    }
    return samples
  }

  private static func output(_ model: any Model, _ adapter: Adapter?, _ sample: Sample) throws -> Tensor {
    func makeRun(over rows: RowLayout) -> ModelRun {
      ModelRun(pass: Pass(now: Moment(), rows: rows, sites: adapter?.sites ?? []), attachment: adapter?.attached())
    }
    switch sample {
    case .ids(let ids):
      guard let text = model as? any TextModel else { throw Refusal("a \(model.modelType) model reads no tokens") }
      try text.check(length: ids.count)
      try text.check(ids: ids)
      let run = makeRun(over: RowLayout(lengths: [ids.count]))
      if let model = model as? any LanguageModel { return model.logits(model.hidden(ids, run), run) }
      guard let encoder = model as? any TextEncoder else { throw Refusal("a \(model.modelType) model encodes no texts") }
      let encoding = encoder.encode(ids, run)
      if let model = model as? any ImageTextModel { return model.embeddings(ofTexts: encoding, run) }
      return output(model, encoding, run)
    case .pixels(let pixels):
      guard let encoder = model as? any ImageEncoder else { throw Refusal("a \(model.modelType) model sees no images") }
      try encoder.check(pixels: pixels.shape)
      let run = makeRun(over: encoder.rows(images: pixels.shape[0]))
      let encoding = encoder.encode(pixels: pixels, run)
      if let model = model as? any ImageTextModel { return model.embeddings(ofImages: encoding, run) }
      return output(model, encoding, run)
    }
  }

  private static func output(_ model: any Model, _ encoding: Encoding, _ run: ModelRun) -> Tensor {
    if let model = model as? any Classifier, model.labels != nil { return model.logits(encoding, run) }
    return encoding.hidden
  }

  private static func choices(_ logits: Tensor) -> [Int] {
    let (values, width) = (logits.floats, logits.columns)
    return (0..<logits.rows).map { row in
      let scores = values[row * width..<(row + 1) * width]
      return scores.indices.max { scores[$0] < scores[$1] } ?? 0
    }
  }
}
