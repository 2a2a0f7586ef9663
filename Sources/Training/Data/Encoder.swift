import ChatTemplates
import Files
import JSON
import Models
import Registry
import Tokenization

/// Text to token ids, for language models.
public struct Encoder: Sendable {
  public typealias LossOn = RunFile.DataSettings.LossOn

  public let tokenizer: Tokenizer
  /// Closes every example that is no conversation; nil where the model has none.
  public let endOfText: Int?
  /// How conversations become texts; nil where there are none.
  public let template: ChatTemplate?
  /// What is learned.
  public let lossOn: LossOn
  /// Tokens at most; longer examples are cut.
  public let maximumLength: Int

  public init(
    tokenizer: Tokenizer, endOfText: Int?, template: ChatTemplate? = nil, lossOn: LossOn = .completion, maximumLength: Int
  ) {
    self.tokenizer = tokenizer
    self.endOfText = endOfText
    self.template = template
    self.lossOn = lossOn
    self.maximumLength = maximumLength
  }

  /// A row as an example of any length. Says why where it cannot be one.
  ///
  /// - A prompt and its completion on the next line, closed by the end-of-text token. Where prompts are not learned, they are
  ///   encoded apart, so that the border falls between tokens.
  /// - A conversation as its template writes it, encoded whole, as `transformers` does. Where text is learned from a place inside
  ///   a token on, the whole token is; where it is learned up to one, that token is not.
  func whole(_ content: DataRow.Content) throws(RowProblem) -> Example {
    switch content {
    case .text(let text): return plain("", text)
    case .prompt(let prompt, let completion): return plain(prompt, completion)
    case .conversation(let talk, let start): return try conversation(talk, from: start)
    case .instruction(let row):
      if template != nil { return try conversation(row.conversation, from: 0) }
      guard row.history.isEmpty, row.system == nil else {
        throw RowProblem(
          reason: "\"\(row.history.isEmpty ? "system" : "history")\" needs a chat template, and the model has none; give "
            + "data.chat_template")
      }
      return plain(row.prompt, row.output)
    case .labelled:
      throw RowProblem(
        reason: "the row has a \"label\": to learn it, set task to sequence_classification; to learn the text as such, set "
          + "data.format to text")
    case .image: throw RowProblem(reason: "the row is an image, which a language model does not read")
    }
  }

  private func plain(_ prompt: String, _ completion: String) -> Example {
    let prompt = prompt.isEmpty ? [] : tokenizer.encode(prompt + "\n")
    let completion = tokenizer.encode(completion, addSpecialTokens: prompt.isEmpty)
    let ids = prompt + completion + (endOfText.map { [$0] } ?? [])
    return Example(ids: ids.map { Int32($0) }, learnedFrom: lossOn == .all ? 0 : prompt.count)
  }

  private func conversation(_ talk: Conversation, from start: Int) throws(RowProblem) -> Example {
    guard let template else {
      throw RowProblem(reason: "the row is a conversation, but the model has no chat template; give data.chat_template")
    }
    let marked: MarkedText
    do throws(TemplateError) {
      if lossOn == .all {
        let ids = tokenizer.encode(try template.text(of: talk), addSpecialTokens: false)
        return Example(ids: ids.map { Int32($0) })
      }
      marked = try template.markedText(of: talk)
    } catch {
      throw RowProblem(reason: "the chat template gives no text for it: \(error)")
    }
    let ids = tokenizer.encode(marked.text, addSpecialTokens: false)
    // Whoever made the file may have weighed single answers out, as OpenAI's format does.
    var answers = marked.answers.filter { $0.message >= start && talk.messages[$0.message]["weight"]?.int != 0 }
    if lossOn == .lastTurn { answers = Array(answers.suffix(1)) }
    let text = Array(marked.text.utf8)
    let ranges = answers.map { answer -> Range<Int> in
      let first = tokens(before: answer.bytes.lowerBound, of: text, ids)
      return first..<max(first, tokens(before: answer.bytes.upperBound, of: text, ids))
    }
    return Example(ids: ids.map { Int32($0) }, learned: ranges)
  }

  /// How many of a text's ids are the ids of its beginning.
  private func tokens(before byte: Int, of text: [UInt8], _ ids: [Int]) -> Int {
    guard byte < text.count else { return ids.count }
    let part = tokenizer.encode(String(decoding: text[..<byte], as: UTF8.self), addSpecialTokens: false)
    return zip(part, ids).prefix { $0 == $1 }.count
  }
}

extension Encoder: RowEncoder {
  public func example(_ content: DataRow.Content) throws(RowProblem) -> (example: Example, length: Int) {
    let whole = try whole(content)
    return (whole.ids.count > maximumLength ? whole.prefix(maximumLength) : whole, whole.ids.count)
  }

  /// The same with the model's own chat template, where rows are to be written by one.
  public func withTemplate(of model: any LanguageModel, for rows: [DataRow]) throws(FileError) -> Encoder {
    guard rows.contains(where: \.content.wantsTemplate) else { return self }
    return Encoder(
      tokenizer: tokenizer, endOfText: endOfText, template: try RunSession.chatTemplate(of: model), lossOn: lossOn,
      maximumLength: maximumLength)
  }
}
