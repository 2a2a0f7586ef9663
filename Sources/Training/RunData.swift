import Files
import Models
import PEFTKernel
import Registry
import Tokenization

/// The examples that a run file names, as token ids.
struct RunData: Sendable {
  /// Nil where nothing is text.
  private(set) var tokenizer: Tokenizer?
  private(set) var training: [Example] = []
  private(set) var validation: [Example] = []
  /// Words to the user.
  private(set) var notes: [String] = []
  /// Tokens an example may have.
  let limit: Int
  private let model: any LanguageModel

  init(_ file: RunFile, for model: any LanguageModel) throws {
    self.model = model
    let positions = model.maximumPositions
    limit = min(file.data.maxSeqLen ?? positions, positions)
    if let asked = file.data.maxSeqLen, asked > positions {
      throw file.fault(
        Refusal(
          "data.max_seq_len is \(asked), but \(file.baseModel) has \(positions) positions", remedy: "use at most \(positions)"),
        at: "data.max_seq_len")
    }
    let valid = file.data.valid
    if file.data.train != nil || valid.map(TokenFile.isNamed) == false { tokenizer = try RunSession.tokenizer(of: model) }
    if let path = file.data.tokens {
      let tokens = try tokens(path)
      guard tokens.batchSize == file.batchSize * file.gradientAccumulation else {
        throw file.fault(
          Refusal(
            "\(path) holds batches of \(tokens.batchSize), but batch_size · gradient_accumulation is "
              + "\(file.batchSize * file.gradientAccumulation)", remedy: "make them equal"),
          at: "batch_size")
      }
      training = tokens.examples
    }
    let learnsPrompt = file.data.lossOn == .all
    if let path = file.data.train { training = try text(path, learnsPrompt: learnsPrompt) }
    if let path = valid { validation = try read(path, learnsPrompt: learnsPrompt) }
  }

  /// The examples of a further file, of texts or of token ids.
  mutating func read(_ path: String, learnsPrompt: Bool) throws -> [Example] {
    if TokenFile.isNamed(path) { return try tokens(path).examples }
    if tokenizer == nil { tokenizer = try RunSession.tokenizer(of: model) }
    return try text(path, learnsPrompt: learnsPrompt)
  }

  private func tokens(_ path: String) throws -> (examples: [Example], batchSize: Int) {
    let tokens = try TokenFile.read(path, vocabulary: model.vocabularySize)
    if let length = tokens.examples.first?.ids.count, length > model.maximumPositions {
      throw FileError(
        .badData, path, "holds sequences of \(length) ids, but the model has \(model.maximumPositions) positions",
        remedy: "make the file with shorter sequences")
    }
    return tokens
  }

  private mutating func text(_ path: String, learnsPrompt: Bool) throws -> [Example] {
    guard let tokenizer else { return [] }
    let encoder = Encoder(
      tokenizer: tokenizer, endOfText: RunSession.endOfText(of: model, tokenizer), learnsPrompt: learnsPrompt,
      maximumLength: limit)
    let result = encoder.examples(try DataFile.read(path))
    if result.cut > 0 { notes.append("\(path): examples cut to \(limit) tokens: \(result.cut)") }
    if result.dropped > 0 {
      notes.append("\(path): examples left out, with nothing to learn within \(limit) tokens: \(result.dropped)")
    }
    guard !result.examples.isEmpty else {
      throw FileError(.badData, path, "no example has anything to learn", remedy: "raise data.max_seq_len")
    }
    return result.examples
  }
}
