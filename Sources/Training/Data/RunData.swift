import ChatTemplates
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
  private(set) var test: [Example] = []
  /// Words to the user.
  private(set) var notes: [String] = []
  /// How the first training row begins, which is how a prompt begins that is like it.
  private(set) var opening = PromptOpening.plain
  /// Where validation and test come from, in words.
  private(set) var places: (validation: String?, test: String?)
  /// Tokens an example may have.
  let limit: Int
  private let model: any LanguageModel
  private let file: RunFile
  private var template: ChatTemplate?
  private var hasTemplate = false

  init(_ file: RunFile, for model: any LanguageModel) throws {
    self.model = model
    self.file = file
    limit = try Self.limit(file, model)
    let (valid, held) = (file.data.valid, file.data.test)
    places = (valid, held)
    if file.data.train != nil || [valid, held].contains(where: { $0.map(TokenFile.isNamed) == false }) {
      tokenizer = try RunSession.tokenizer(of: model)
    }
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
    if let path = file.data.train { try readTraining(path) }
    if let path = valid { validation = try read(path, lossOn: file.data.lossOn) }
    if let path = held { test = try read(path, lossOn: file.data.lossOn) }
  }

  /// The tokens an example of a run may have.
  static func limit(_ file: RunFile, _ model: any LanguageModel) throws(ConfigurationErrors) -> Int {
    let positions = model.maximumPositions
    if let asked = file.data.maxSeqLen, asked > positions {
      throw file.fault(
        Refusal(
          "data.max_seq_len is \(asked), but \(file.baseModel) has \(positions) positions", remedy: "use at most \(positions)"),
        at: "data.max_seq_len")
    }
    return min(file.data.maxSeqLen ?? positions, positions)
  }

  private mutating func readTraining(_ path: String) throws {
    let rows = try DataFile.read(path, format: file.data.format)
    if let first = rows.first { opening = try promptOpening(first) }
    guard let asked = file.data.split else {
      training = try examples(rows, of: path, lossOn: file.data.lossOn)
      return
    }
    let split = try RunSession.told(of: file, at: "data.split") {
      try DataSplit(rows: rows.count, valid: asked.valid, test: asked.test, seed: asked.seed)
    }
    training = try examples(split.train.map { rows[$0] }, of: path, lossOn: file.data.lossOn)
    if !split.valid.isEmpty {
      validation = try examples(split.valid.map { rows[$0] }, of: path, lossOn: file.data.lossOn)
      places.validation = "\(split.valid.count) rows of \(path)"
    }
    if !split.test.isEmpty {
      test = try examples(split.test.map { rows[$0] }, of: path, lossOn: file.data.lossOn)
      places.test = "\(split.test.count) rows of \(path)"
    }
  }

  /// The examples of a further file, of texts or of token ids.
  mutating func read(_ path: String, lossOn: RunFile.DataSettings.LossOn) throws -> [Example] {
    if TokenFile.isNamed(path) { return try tokens(path).examples }
    if tokenizer == nil { tokenizer = try RunSession.tokenizer(of: model) }
    return try examples(try DataFile.read(path, format: file.data.format), of: path, lossOn: lossOn)
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

  private mutating func examples(
    _ rows: [DataRow], of path: String, lossOn: RunFile.DataSettings.LossOn
  ) throws -> [Example] {
    guard let tokenizer else { return [] }
    let encoder = Encoder(
      tokenizer: tokenizer, endOfText: RunSession.endOfText(of: model, tokenizer), template: try template(for: rows),
      lossOn: lossOn, maximumLength: limit)
    let result = try encoder.encodeAll(rows, of: path)
    if !result.cut.isEmpty { notes.append("\(path): examples cut to \(limit) tokens: \(result.cut.count)") }
    if !result.dropped.isEmpty {
      notes.append("\(path): examples left out, with nothing to learn within \(limit) tokens: \(result.dropped.count)")
    }
    guard !result.examples.isEmpty else {
      throw FileError(.badData, path, "no example has anything to learn", remedy: "raise data.max_seq_len")
    }
    return result.examples
  }

  /// The chat template, read once and only where rows need one: a model's own may be one that cannot be used.
  private mutating func template(for rows: [DataRow]) throws(FileError) -> ChatTemplate? {
    guard rows.contains(where: \.content.wantsTemplate) else { return nil }
    if !hasTemplate { template = try RunSession.chatTemplate(for: file, on: model) }
    hasTemplate = true
    return template
  }

  private mutating func promptOpening(_ row: DataRow) throws(FileError) -> PromptOpening {
    if case .prompt = row.content { return .ask }
    return try template(for: [row]).map { .chat($0) } ?? (row.content.wantsTemplate ? .ask : .plain)
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
    case .text, .prompt, .labelled: false
    }
  }
}
