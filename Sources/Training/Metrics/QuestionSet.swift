import ChatTemplates
import Files
import JSON
import Models
import Registry
import Tokenization

/// A row of data as a question: what a model is shown, and what it should say.
public struct Question: Sendable, Hashable {
  /// Where the row begins in its file, counted from 1.
  public var line: Int
  /// What the model goes on from.
  public var prompt: [Int32]
  /// The row's own answer.
  public var reference: String
  /// Whether the answer is an assistant's turn, which ends as the template says.
  public var isTurn: Bool
}

/// The rows of a data file as questions to one model, each asked just as it would be learned.
public struct QuestionSet: Sendable {
  public let questions: [Question]
  let tokenizer: Tokenizer
  /// What ends any answer, and what ends a turn besides.
  let ends: Set<Int32>
  let endOfTurn: EndOfTurn?

  /// The questions of a file of texts, the first `limit` rows of it.
  ///
  /// - Parameter format: what the rows are; `auto` goes by the keys of each.
  /// - Throws: every row that asks nothing, with its place.
  public init(
    _ path: String, format: RunFile.DataSettings.Format = .auto, limit: Int? = nil, for model: any LanguageModel
  ) throws {
    guard !TokenFile.isNamed(path) else {
      throw FileError(.badData, path, "holds token ids, not questions with answers", remedy: "give rows of text")
    }
    let tokenizer = try RunSession.tokenizer(of: model)
    let all = try DataFile.read(path, format: format)
    let rows = Array(all.prefix(limit ?? all.count))
    let encoder = try Encoder(
      tokenizer: tokenizer, endOfText: try RunSession.endOfText(of: model, tokenizer), maximumLength: model.maximumPositions
    ).withTemplate(of: model, for: rows)
    try self.init(rows, of: path, encoder, for: model)
  }

  /// Questions as `encoder` writes rows; `path` is what messages call their file.
  init(_ rows: [DataRow], of path: String, _ encoder: Encoder, for model: any LanguageModel) throws {
    var questions: [Question] = []
    var bad: [BadRow] = []
    for row in rows {
      do throws(RowProblem) {
        questions.append(try encoder.question(row))
      } catch {
        bad.append(BadRow(row, of: path, error))
      }
    }
    guard bad.isEmpty else { throw DataErrors(bad) }
    self.questions = questions
    tokenizer = encoder.tokenizer
    // Training closes texts with the one, and the model's makers may name others.
    ends = try RunSession.stopIDs(of: model, encoder.tokenizer)
    endOfTurn =
      questions.contains(where: \.isTurn) ? try encoder.template.map { try EndOfTurn(of: $0, encoder.tokenizer) } : nil
  }
}

extension Encoder {
  /// A row as a question. Says why where it asks nothing.
  func question(_ row: DataRow) throws(RowProblem) -> Question {
    switch row.content {
    case .prompt(let prompt, let completion): return try question(prompt, completion, row.line)
    case .conversation(let talk, let start): return try question(talk, from: start, row.line)
    case .instruction(let instruction):
      if template != nil { return try question(instruction.conversation, from: 0, row.line) }
      // What cannot be learned so cannot be asked.
      _ = try whole(row.content)
      return try question(instruction.prompt, instruction.output, row.line)
    case .text, .labelled, .image:
      throw RowProblem(reason: "the row is a text without a question: an answer needs a prompt, or a conversation")
    }
  }

  /// A prompt that is answered on the next line.
  private func question(_ prompt: String, _ answer: String, _ line: Int) throws(RowProblem) -> Question {
    let ids = prompt.isEmpty ? tokenizer.encode("") : tokenizer.encode(prompt + "\n")
    return try question(ids, answer, line, isTurn: false)
  }

  /// The last answer of a conversation that counts, asked for with everything before it.
  private func question(_ talk: Conversation, from start: Int, _ line: Int) throws(RowProblem) -> Question {
    guard let template else {
      throw RowProblem(reason: "the row is a conversation, but the model has no chat template")
    }
    guard let last = talk.answers.last(where: { $0 >= start && talk.messages[$0]["weight"]?.int != 0 }) else {
      throw RowProblem(reason: "no answer of the assistant counts: nothing to ask for")
    }
    guard let answer = talk.messages[last]["content"]?.string else {
      throw RowProblem(reason: "the assistant's last turn has no text to compare with")
    }
    let text: String
    do throws(TemplateError) {
      let asked = Conversation(messages: Array(talk.messages[..<last]), tools: talk.tools)
      text = try template.text(of: asked, addGenerationPrompt: true)
    } catch {
      throw RowProblem(reason: "the chat template gives no text for it: \(error)")
    }
    return try question(tokenizer.encode(text, addSpecialTokens: false), answer, line, isTurn: true)
  }

  private func question(_ ids: [Int], _ answer: String, _ line: Int, isTurn: Bool) throws(RowProblem) -> Question {
    guard !ids.isEmpty else { throw RowProblem(reason: "nothing stands before the answer: there is nothing to go on from") }
    guard !answer.trimmingBlanks.isEmpty else { throw RowProblem(reason: "the answer is blank: nothing to compare with") }
    return Question(line: line, prompt: ids.map { Int32($0) }, reference: answer, isTurn: isTurn)
  }
}
