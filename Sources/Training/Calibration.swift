import Engine
import Files
import Models
import PEFTKernel

/// What a model's weights meet on some texts.
public enum Calibration {
  /// The first `samples` examples of a data file, of text or of token ids, each cut to `length` tokens.
  public static func examples(_ path: String, for model: any LanguageModel, samples: Int, length: Int?) throws -> [Example] {
    let limit = min(length ?? model.maximumPositions, model.maximumPositions)
    let all: [Example]
    if TokenFile.isNamed(path) {
      all = try TokenFile.read(path, vocabulary: model.vocabularySize).examples.map { Example(ids: Array($0.ids.prefix(limit))) }
    } else {
      let tokenizer = try RunSession.tokenizer(of: model)
      let encoder = Encoder(
        tokenizer: tokenizer, endOfText: try RunSession.endOfText(of: model, tokenizer), lossOn: .all, maximumLength: limit)
      let rows = Array(try DataFile.read(path).prefix(samples))
      all = try encoder.withTemplate(of: model, for: rows).encodeAll(rows, of: path).examples
    }
    guard !all.isEmpty else {
      throw FileError(.badData, path, "no example has a token to look at", remedy: "raise --max-seq-len, or give other data")
    }
    return Array(all.prefix(samples))
  }

  /// C = Σ xᵀ·x [inputs, inputs] of the inputs x of every site, in double. Sites that read one input share one.
  ///
  /// `seen` is told how many examples were read. Cancelling the task ends it between two batches, with a `CancellationError`.
  public static func grams(
    of sites: [Site], on model: any LanguageModel, examples: [Example], batchSize: Int = 4, seen: (Int) -> Void = { _ in }
  ) throws -> [SiteID: Tensor] {
    let grams = GramSums(of: sites)
    for start in stride(from: 0, to: examples.count, by: batchSize) {
      try Task.checkCancellation()
      let part = Array(examples[start..<min(start + batchSize, examples.count)])
      let batch = Batch(part)
      var run = ModelRun(pass: Pass(now: Moment(), rows: batch.rows, sites: []))
      run.observeInput = { grams.add($1, at: $0) }
      _ = model.hidden(batch.ids, run)
      seen(start + part.count)
    }
    return grams.sums
  }
}
