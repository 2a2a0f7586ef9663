import ChatTemplates
import Files
import Models
import PEFTKernel
import Registry
import Tokenization

/// The examples that a run file names.
struct RunData: Sendable {
  private(set) var training: [Example] = []
  private(set) var validation: [Example] = []
  private(set) var test: [Example] = []
  /// Words to the user.
  private(set) var notes: [String] = []
  /// How the first training row begins, which is how a prompt begins that is like it.
  private(set) var opening = PromptOpening.plain
  /// Where validation and test come from, in words.
  private(set) var places: (validation: String?, test: String?)
  let reader: any DataReader
  /// Of token ids, where the model reads such; nil where it does not.
  private let vocabulary: (size: Int, positions: Int)?
  private let file: RunFile

  /// `rows` are the training rows, where they were read already.
  init(_ file: RunFile, _ reader: any DataReader, for model: any Model, rows: [DataRow]? = nil) throws {
    self.file = file
    self.reader = reader
    vocabulary = (model as? any LanguageModel).map { ($0.vocabularySize, $0.maximumPositions) }
    let (valid, held) = (file.data.valid, file.data.test)
    places = (valid, held)
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
    if let path = file.data.train { try readTraining(rows ?? reader.rows(of: path), of: path) }
    if let path = valid { validation = try read(path, lossOn: file.data.lossOn) }
    if let path = held { test = try read(path, lossOn: file.data.lossOn) }
  }

  /// Nil where nothing is text.
  var tokenizer: Tokenizer? { reader.tokenizer }
  /// Tokens an example may have.
  var limit: Int { reader.limit }

  /// The tokens an example of a run may have.
  static func limit(_ file: RunFile, _ model: any LanguageModel) throws(ConfigurationErrors) -> Int {
    let positions = model.maximumPositions
    if let asked = file.data.maxSeqLen, asked > positions {
      throw file.fault(.tooLong(asked, positions, file.baseModel), at: "data.max_seq_len")
    }
    return min(file.data.maxSeqLen ?? positions, positions)
  }

  private mutating func readTraining(_ rows: [DataRow], of path: String) throws {
    if let first = rows.first { opening = try reader.opening(like: first) }
    var learned = rows
    if let asked = file.data.split {
      let split = try RunSession.told(of: file, at: "data.split") {
        try DataSplit(rows: rows.count, valid: asked.valid, test: asked.test, seed: asked.seed)
      }
      learned = split.train.map { rows[$0] }
      if !split.valid.isEmpty {
        validation = try examples(split.valid.map { rows[$0] }, of: path, lossOn: file.data.lossOn)
        places.validation = "\(split.valid.count) rows of \(path)"
      }
      if !split.test.isEmpty {
        test = try examples(split.test.map { rows[$0] }, of: path, lossOn: file.data.lossOn)
        places.test = "\(split.test.count) rows of \(path)"
      }
    }
    if let shots = file.data.shots {
      learned = learned.few(shots, seed: file.data.split?.seed ?? file.seed)
    }
    training = try examples(learned, of: path, lossOn: file.data.lossOn)
  }

  /// The examples of a further file, of rows or of token ids.
  mutating func read(_ path: String, lossOn: RunFile.DataSettings.LossOn) throws -> [Example] {
    if vocabulary != nil, TokenFile.isNamed(path) { return try tokens(path).examples }
    return try examples(reader.rows(of: path), of: path, lossOn: lossOn)
  }

  private func tokens(_ path: String) throws -> (examples: [Example], batchSize: Int) {
    let (size, positions) = vocabulary ?? (0, 0)
    let tokens = try TokenFile.read(path, vocabulary: size)
    if let length = tokens.examples.first?.ids.count, length > positions {
      throw FileError(
        .badData, path, "holds sequences of \(length) ids, but the model has \(positions) positions",
        remedy: "make the file with shorter sequences")
    }
    return tokens
  }

  private mutating func examples(
    _ rows: [DataRow], of path: String, lossOn: RunFile.DataSettings.LossOn
  ) throws -> [Example] {
    let result = try reader.encoder(for: rows, lossOn: lossOn).encodeAll(rows, of: path)
    if !result.cut.isEmpty { notes.append("\(path): examples cut to \(limit) tokens: \(result.cut.count)") }
    if !result.dropped.isEmpty {
      notes.append("\(path): examples left out, with nothing to learn within \(limit) tokens: \(result.dropped.count)")
    }
    guard !result.examples.isEmpty else {
      throw FileError(.badData, path, "no example has anything to learn", remedy: "raise data.max_seq_len")
    }
    return result.examples
  }
}

extension [DataRow] {
  /// So many rows of every class, drawn by the seed; all of one that has fewer.
  fileprivate func few(_ shots: Int, seed: UInt64) -> [DataRow] {
    let ids = Dictionary(uniqueKeysWithValues: labels.enumerated().map { ($1, $0) })
    return FewShot.choose(labels: map { $0.label.flatMap { ids[$0] } }, count: shots, seed: seed).map { self[$0] }
  }
}

/// How a prompt becomes the beginning of a text like those that a run learned from.
public enum PromptOpening: Sendable {
  /// As it stands.
  case plain
  /// With the answer on the next line.
  case ask
  /// As the user's turn.
  case chat(ChatTemplate)

  /// The ids to go on from. Says why where the template gives none.
  public func ids(of prompt: String, _ tokenizer: Tokenizer) throws(Refusal) -> [Int32] {
    switch self {
    case .plain: return tokenizer.encode(prompt).map { Int32($0) }
    case .ask: return tokenizer.encode(prompt + "\n").map { Int32($0) }
    case .chat(let template):
      do throws(TemplateError) {
        let text = try template.text(of: Conversation([("user", prompt)]), addGenerationPrompt: true)
        return tokenizer.encode(text, addSpecialTokens: false).map { Int32($0) }
      } catch {
        throw Refusal("the chat template gives no text for a prompt: \(error)")
      }
    }
  }
}

extension DataRow.Content {
  /// Whether a chat template would have a say in the row's text.
  var wantsTemplate: Bool {
    switch self {
    case .conversation, .instruction: true
    case .text, .prompt, .labelled, .image: false
    }
  }
}
