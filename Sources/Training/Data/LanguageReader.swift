import ChatTemplates
import Files
import Models
import PEFTKernel
import Registry
import Tokenization

/// Texts of every format, for a language model.
struct LanguageReader: DataReader {
  let model: any LanguageModel
  let tokenizer: Tokenizer?
  let limit: Int
  private let file: RunFile

  init(_ file: RunFile, _ model: any LanguageModel) throws {
    self.file = file
    self.model = model
    limit = try RunData.limit(file, model)
    let paths = [file.data.train, file.data.valid, file.data.test].compactMap { $0 }
    tokenizer = paths.contains { !TokenFile.isNamed($0) } ? try RunSession.tokenizer(of: model) : nil
  }

  func inspect(_ path: String) throws -> (rows: [DataRow], bad: [BadRow]) {
    try DataFile.inspect(path, format: file.data.format)
  }

  func encoder(for rows: [DataRow], lossOn: RunFile.DataSettings.LossOn) throws -> any RowEncoder {
    let tokenizer = try tokenizer ?? RunSession.tokenizer(of: model)
    return Encoder(
      tokenizer: tokenizer, endOfText: try RunSession.endOfText(of: model, tokenizer), template: try template(for: rows),
      lossOn: lossOn, maximumLength: limit)
  }

  func opening(like row: DataRow) throws -> PromptOpening {
    if case .prompt = row.content { return .ask }
    return try template(for: [row]).map { .chat($0) } ?? (row.content.wantsTemplate ? .ask : .plain)
  }

  /// Read only where rows need one: a model's own may be one that cannot be used.
  private func template(for rows: [DataRow]) throws -> ChatTemplate? {
    guard rows.contains(where: \.content.wantsTemplate) else { return nil }
    return try RunSession.chatTemplate(for: file, on: model)
  }
}
