import Files
import Models
import PEFTKernel
import Registry
import Tokenization

/// One part of a run's data, read whole: what became of every row, bad ones included. For looking at data before a run.
public struct DataPart: Sendable {
  /// `train`, `valid` or `test`; a file by itself has none.
  public var name: String?
  public var path: String
  /// The rows that can be read, in order; none where the file holds token ids.
  public var rows: [DataRow] = []
  /// Nil where there is no tokenizer to make tokens with.
  public var encoded: EncodedRows?
  /// Rows that cannot be read or not be learned from, in order.
  public var bad: [BadRow] = []

  /// A part of text, with its tokens where there is an encoder.
  init(_ name: String?, _ path: String, _ rows: [DataRow], _ bad: [BadRow], _ encoder: (any RowEncoder)?) {
    self.name = name
    self.path = path
    self.rows = rows
    encoded = encoder?.encode(rows, of: path)
    self.bad = (bad + (encoded?.bad ?? [])).sorted { ($0.line ?? 0) < ($1.line ?? 0) }
  }

  /// A part of token ids.
  private init(_ name: String, _ path: String, _ examples: [Example]) {
    (self.name, self.path) = (name, path)
    var encoded = EncodedRows()
    (encoded.examples, encoded.rows) = (examples, Array(examples.indices))
    encoded.lengths = examples.map(\.size)
    self.encoded = encoded
  }
}

extension DataPart {
  /// A data file by itself: with a model its tokens, by the model's own chat template; without one its rows only.
  public static func file(
    _ path: String, format: RunFile.DataSettings.Format, model: (any LanguageModel)?, lossOn: RunFile.DataSettings.LossOn,
    maximumLength: Int?
  ) throws -> DataPart {
    let (rows, bad) = try DataFile.inspect(path, format: format)
    try requireRows(rows, bad, path)
    let encoder = try model.map { model in
      let tokenizer = try RunSession.tokenizer(of: model)
      let limit = min(maximumLength ?? model.maximumPositions, model.maximumPositions)
      return try Encoder(
        tokenizer: tokenizer, endOfText: try RunSession.endOfText(of: model, tokenizer), lossOn: lossOn, maximumLength: limit
      ).withTemplate(of: model, for: rows)
    }
    return DataPart(nil, path, rows, bad, encoder)
  }

  private static func requireRows(_ rows: [DataRow], _ bad: [BadRow], _ path: String) throws(DataErrors) {
    guard rows.isEmpty, bad.isEmpty else { return }
    throw DataErrors(messages: ["\(path): the file has no rows; give one JSON object a line"])
  }

  /// The data of a run, as the run would read it, and the tokenizer of its model.
  public static func parts(of file: RunFile) throws -> (parts: [DataPart], tokenizer: Tokenizer?) {
    let data = file.data
    let setup = try TaskSetup(file)
    let (reader, language) = (setup.reader, (setup.objective as? NextTokens)?.language)
    var parts: [DataPart] = []
    for (name, path) in [("train", data.train ?? data.tokens), ("valid", data.valid), ("test", data.test)] {
      guard let path else { continue }
      if let language, TokenFile.isNamed(path) {
        parts.append(DataPart(name, path, try TokenFile.read(path, vocabulary: language.vocabularySize).examples))
        continue
      }
      let (rows, bad) = try reader.inspect(path)
      try requireRows(rows, bad, path)
      let encoder = try reader.encoder(for: rows, lossOn: data.lossOn)
      guard name == "train", let split = data.split, bad.isEmpty else {
        parts.append(DataPart(name, path, rows, bad, encoder))
        continue
      }
      let places = try RunSession.told(of: file, at: "data.split") {
        try DataSplit(rows: rows.count, valid: split.valid, test: split.test, seed: split.seed)
      }
      for (name, chosen) in [("train", places.train), ("valid", places.valid), ("test", places.test)] where !chosen.isEmpty {
        parts.append(DataPart(name, path, chosen.map { rows[$0] }, [], encoder))
      }
    }
    // Ids can be looked at without their texts.
    return (parts, reader.tokenizer ?? language.flatMap { try? RunSession.tokenizer(of: $0) })
  }
}

/// Lengths in tokens, as a few numbers.
public struct LengthStatistics: Sendable, Equatable {
  public var minimum: Int
  public var median: Int
  public var mean: Double
  /// The length that 95 of 100 rows do not exceed.
  public var percentile95: Int
  public var maximum: Int

  /// Nil for no lengths. Percentiles are lengths of rows: the one at ⌈share · count⌉, counted from 1 in order of length.
  public init?(_ lengths: [Int]) {
    let sorted = lengths.sorted()
    guard let first = sorted.first, let last = sorted.last else { return nil }
    func percentile(_ share: Double) -> Int { sorted[max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1)] }
    minimum = first
    median = percentile(0.5)
    mean = Double(sorted.reduce(0, +)) / Double(sorted.count)
    percentile95 = percentile(0.95)
    maximum = last
  }
}
