import Engine
import Files
import Models
import PEFTKernel

/// What a model's weights meet on some texts.
public enum Calibration {
  /// The first `samples` examples of a data file: texts, each cut to `length` tokens, or for a language model token ids; for a model of
  /// images such. Labels are not needed.
  public static func examples(_ path: String, for model: any Model, samples: Int, length: Int?) throws -> [Example] {
    let all =
      switch model {
      case let model as any LanguageModel: try examples(path, for: model, samples: samples, length: length)
      case is any ImageTextModel:
        throw Refusal(
          "a \(model.modelType) model reads images and texts, and examples have one of the two",
          remedy: "quantize it without data: to the nearest codes, or to NF4")
      case let model as any ImageEncoder: try inputs(path, samples, ClassImages(model, labels: []))
      case let model as any TextEncoder:
        try inputs(path, samples, ClassTexts(EncodedTexts(model, limit: min(length ?? .max, model.maximumPositions)), labels: []))
      default: [Example]()
      }
    guard !all.isEmpty else {
      throw FileError(.badData, path, "no example has a token to look at", remedy: "raise --max-seq-len, or give other data")
    }
    return Array(all.prefix(samples))
  }

  private static func inputs(_ path: String, _ samples: Int, _ reader: some DataReader) throws -> [Example] {
    try reader.inputs(Array(reader.rows(of: path).prefix(samples)), of: path)
  }

  private static func examples(
    _ path: String, for model: any LanguageModel, samples: Int, length: Int?
  ) throws -> [Example] {
    let limit = min(length ?? model.maximumPositions, model.maximumPositions)
    guard !TokenFile.isNamed(path) else {
      return try TokenFile.read(path, vocabulary: model.vocabularySize).examples.map { Example(ids: Array($0.ids.prefix(limit))) }
    }
    let tokenizer = try RunSession.tokenizer(of: model)
    let encoder = Encoder(
      tokenizer: tokenizer, endOfText: try RunSession.endOfText(of: model, tokenizer), lossOn: .all, maximumLength: limit)
    let rows = Array(try DataFile.read(path).prefix(samples))
    return try encoder.withTemplate(of: model, for: rows).encodeAll(rows, of: path).examples
  }

  /// C = Σ xᵀ·x [inputs, inputs] of the inputs x of every site, in double. Sites that read one input share one.
  ///
  /// `seen` is told how many examples were read. Cancelling the task ends it between two batches, with a `CancellationError`.
  public static func grams(
    of sites: [Site], on model: any Model, examples: [Example], batchSize: Int = 4, seen: (Int) -> Void = { _ in }
  ) throws -> [SiteID: Tensor] {
    let grams = GramSums(of: sites)
    let forward: (Batch, ModelRun) -> Void
    if let language = model as? any LanguageModel {
      forward = { _ = language.hidden($0.ids, $1) }
    } else {
      let encoder = try EncoderInput(model)
      forward = { _ = encoder.encode($0, $1) }
    }
    for start in stride(from: 0, to: examples.count, by: batchSize) {
      try Task.checkCancellation()
      let part = Array(examples[start..<min(start + batchSize, examples.count)])
      let batch = Batch(part)
      var run = ModelRun(pass: Pass(now: Moment(), rows: batch.rows, sites: []))
      run.observeInput = { grams.add($1, at: $0) }
      forward(batch, run)
      seen(start + part.count)
    }
    return grams.sums
  }
}
