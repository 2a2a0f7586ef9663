import AdapterFiles
import ChatTemplates
import Engine
import Files
import Models
import PEFTKernel
import Tokenization

/// A conversation with a model, turn by turn, through one of several adapters or none.
///
/// Every turn is the model's chat template over the whole conversation, as it would be for one that is new; what the model has
/// read of it already is not read again.
public final class ChatSession {
  /// An answer, and how it ended.
  public struct Answer: Sendable, Equatable {
    public enum End: String, Sendable {
      /// The model ended it.
      case stop
      /// At the number of tokens that was allowed.
      case length
      /// By whoever listens.
      case interrupted
    }
    public var text: String
    public var end: End
    /// Tokens of the conversation as the model was asked with it, and those of them that were not yet read.
    public var promptTokens: Int
    public var newPromptTokens: Int
    public var tokens: Int
  }

  public let model: any LanguageModel
  public let tokenizer: Tokenizer
  public let template: ChatTemplate
  public private(set) var bank: AdapterBank
  public var sampling: Sampling
  /// Of an answer.
  public var maximumTokens: Int
  /// Texts at which an answer ends, beside the template's own end of a turn.
  public var stops: [String]
  public private(set) var conversation = Conversation([])
  private var memory: PromptMemory
  private let endOfTurn: EndOfTurn

  /// Refuses a template that cannot be asked for an answer.
  public init(
    _ model: any LanguageModel, tokenizer: Tokenizer, template: ChatTemplate, bank: AdapterBank,
    sampling: Sampling = .greedy, maximumTokens: Int = 512, stops: [String] = []
  ) throws(TemplateError) {
    self.model = model
    self.tokenizer = tokenizer
    self.template = template
    self.bank = bank
    self.sampling = sampling
    self.maximumTokens = maximumTokens
    self.stops = stops
    memory = PromptMemory(model)
    endOfTurn = try EndOfTurn(of: template, tokenizer)
  }

  /// Goes on with another adapter, or with the base alone; the conversation stays.
  public func use(_ name: String?) throws(Refusal) {
    try bank.use(name)
    // Keys and values are the other adapter's.
    memory = PromptMemory(model)
  }

  /// Begins anew, with a system message where one is given.
  public func reset(system: String? = nil) { conversation = Conversation(system.map { [("system", $0)] } ?? []) }

  /// Takes back the last question and its answer; false where there is none.
  public func undo() -> Bool {
    guard let last = conversation.messages.indices.last(where: { conversation.role(of: $0) == "user" }) else { return false }
    conversation.messages.removeSubrange(last...)
    return true
  }

  /// The model's answer to `text`; `piece` is shown it as it is made, and ends it by returning false.
  ///
  /// What cannot be answered — the template refuses it, or it is longer than the model's positions — leaves the conversation as it
  /// was.
  public func answer(to text: String, piece: (String) -> Bool = { _ in true }) throws -> Answer {
    var asked = conversation
    asked.messages.append(["role": "user", "content": .string(text)])
    let prompt = tokenizer.encode(try template.text(of: asked, addGenerationPrompt: true), addSpecialTokens: false)
    guard prompt.count < model.maximumPositions else {
      throw FileError(
        .badData, model.directory.path,
        "the conversation has \(prompt.count) tokens, and the model \(model.maximumPositions) positions",
        remedy: "take back a turn, or begin anew")
    }
    let generator = try TokenGenerator(
      model, prompt: prompt.map { Int32($0) }, maximumTokens: maximumTokens, sampling: sampling,
      stopIDs: try RunSession.stopIDs(of: model, tokenizer).union(endOfTurn.ids), attachment: bank.attached())
    var tokens = generator.makeIterator(after: memory)
    let read = prompt.count - memory.ids.count
    var (said, count, end) = ("", 0, Answer.End.stop)
    var stream = tokenizer.streamingDecoder()
    var stops = StopTexts(stops + endOfTurn.texts)
    while end != .interrupted, !stops.isEnded, let id = tokens.next() {
      count += 1
      let new = stops.append(stream.append(Int(id)))
      said += new
      if !piece(new) { end = .interrupted }
    }
    if end != .interrupted {
      let rest = stops.append(stream.finish()) + stops.finish()
      said += rest
      if !rest.isEmpty { _ = piece(rest) }
      if !stops.isEnded, !tokens.hasStopped { end = .length }
    }
    asked.messages.append(["role": .string(Conversation.assistant), "content": .string(said)])
    conversation = asked
    return Answer(text: said, end: end, promptTokens: prompt.count, newPromptTokens: read, tokens: count)
  }
}

/// How a template ends what the assistant says: the token, or the text, that a model was taught to end a turn with.
struct EndOfTurn {
  private(set) var ids: Set<Int32> = []
  private(set) var texts: [String] = []

  /// What stands behind the words of an assistant in the template's text of a conversation that goes on.
  init(of template: ChatTemplate, _ tokenizer: Tokenizer) throws(TemplateError) {
    let (words, reply) = ("swordfish", "password")
    let marked = try template.markedText(
      of: Conversation([("user", reply), (Conversation.assistant, words), ("user", reply)]))
    let text = Array(marked.text.utf8)
    guard let answer = marked.answers.first, let start = text.firstEnd(of: words, in: answer.bytes),
      let next = text.firstEnd(of: reply, in: start..<text.count)
    else { return }
    let tail = String(decoding: text[start..<answer.bytes.upperBound], as: UTF8.self).trimmingBlanks
    guard let first = tokenizer.encode(tail, addSpecialTokens: false).first else {
      // The turn ends with nothing to be seen: then with what begins the next one.
      texts = [String(decoding: text[start..<next - reply.utf8.count], as: UTF8.self)]
      return
    }
    if tokenizer.isSpecial(first) { ids = [Int32(first)] } else { texts = [tail] }
  }
}

extension [UInt8] {
  /// Where the first occurrence of `part` in `range` ends.
  fileprivate func firstEnd(of part: String, in range: Range<Int>) -> Int? {
    let part = Array(part.utf8)
    return range.first { self[$0..<range.upperBound].starts(with: part) }.map { $0 + part.count }
  }
}

extension String {
  /// Without the white space around it.
  var trimmingBlanks: String {
    let isBlank = { (character: Character) in character.isWhitespace }
    guard let start = firstIndex(where: { !isBlank($0) }), let end = lastIndex(where: { !isBlank($0) }) else { return "" }
    return String(self[start...end])
  }
}
