import AdapterFiles
import ArgumentParser
import ChatTemplates
import Files
import JSON
import Models
import PEFTKernel
import Synchronization
import Tokenization
import Training

struct ChatCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "chat", abstract: "Talk with a model.",
    discussion: """
      Lines of standard input are what you say; the model's own chat template turns the conversation into its prompt. Answers appear
      as they are made, and control-C ends one. With several adapters, `/use NAME` goes on with another, in the same conversation.

      \(Dialogue.help)
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: ArgumentHelp("What the model is told before everything else.", valueName: "text"))
  var system: String?

  @Option(
    name: [.customShort("M"), .long],
    help: ArgumentHelp("Say this instead of reading standard input; may be repeated.", valueName: "text"))
  var message: [String] = []

  @Option(name: [.customShort("n"), .long], help: "Tokens of an answer at most.")
  var maxNewTokens = 512

  @OptionGroup var draws: SamplingOptions

  @Option(help: ArgumentHelp("A chat template (Jinja) to use in place of the model's own.", valueName: "file"))
  var chatTemplate: String?

  @Flag(help: "Print each answer as a JSON object in a line.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if maxNewTokens < 1 { throw ValidationError("--max-new-tokens must be at least 1") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let attached = try model.openAll(call)
    let tokenizer = try RunSession.tokenizer(of: attached.model)
    let session = try ChatSession(
      attached.model, tokenizer: tokenizer, template: template(of: attached.model), bank: attached.bank,
      sampling: draws.sampling, maximumTokens: maxNewTokens, stops: draws.stop)
    session.reset(system: system)
    let dialogue = Dialogue(session, system: system, call.console, json: json)
    if !message.isEmpty {
      for text in message where !call.console.isClosed { try dialogue.say(text) }
      return .ok
    }
    dialogue.greet()
    while !call.console.isClosed, let line = dialogue.read(), try dialogue.take(line) {}
    return .ok
  }

  private func template(of model: any LanguageModel) throws -> ChatTemplate {
    if let template = try RunSession.chatTemplate(of: model, given: chatTemplate) { return template }
    throw FileError(
      .missing, model.directory.path, "has no chat template: how a conversation is written for this model is not known",
      remedy: "give one with --chat-template, or continue plain text with `\(Invocation.programName) generate`")
  }
}

/// The conversation as a person has it: lines in, answers and remarks out.
final class Dialogue {
  static let help = """
    /use NAME       go on with another adapter, or with `base`
    /adapters       which there are
    /system TEXT    begin anew with this system message
    /reset          begin anew
    /undo           take back the last question and its answer
    /exit           end; so does the end of the input
    """

  private let session: ChatSession
  private var system: String?
  private let console: Console
  private let json: Bool

  init(_ session: ChatSession, system: String?, _ console: Console, json: Bool) {
    self.session = session
    self.system = system
    self.console = console
    self.json = json
  }

  func greet() {
    guard console.isTerminal else { return }
    let adapter = session.bank.inUse.map { ", adapter \($0)" } ?? ""
    console.note("\(session.model.modelType)\(adapter). /help tells what can be typed beside words.")
  }

  /// The next line, nil at the end of the input.
  func read() -> String? {
    if console.isTerminal { console.draw("> ") }
    return readLine()
  }

  /// Takes a line; false where the conversation is over. What a person got wrong is said, and ends nothing.
  func take(_ line: String) throws -> Bool {
    let words = line.split(separator: " ", maxSplits: 1).map(String.init)
    let argument = words.count > 1 ? words[1] : ""
    switch words.first {
    case nil: break
    case "/exit", "/quit": return false
    case "/help": console.note(Self.help)
    case "/adapters":
      let used = session.bank.inUse ?? AdapterBank.base
      for name in session.bank.names + [AdapterBank.base] { console.note((name == used ? "* " : "  ") + name) }
    case "/use":
      do throws(Refusal) { try session.use(argument) } catch { console.note("\(error)") }
    case "/system":
      system = argument.isEmpty ? nil : argument
      session.reset(system: system)
    case "/reset": session.reset(system: system)
    case "/undo": if !session.undo() { console.note("there is nothing to take back") }
    case .some(let word) where word.hasPrefix("/"): console.note("\(word) is no command; /help lists them")
    default:
      do { try say(line) } catch {
        guard error is FileError || error is TemplateError else { throw error }
        console.note("\(error)")
      }
    }
    return true
  }

  /// Says something and prints the answer.
  func say(_ text: String) throws {
    let answer: ChatSession.Answer
    do {
      // While an answer is made, the first signal ends it; between answers signals are the system's.
      let signals = StopSignals()
      defer { signals.end() }
      let interruption = Interruption()
      signals.handle { interruption.raise() }
      answer = try session.answer(to: text) { piece in
        if !json { console.write(piece) }
        return !interruption.isRaised && !console.isClosed
      }
    }
    guard json else {
      console.print()
      if answer.end == .length { console.note("(ended after \(answer.tokens) tokens)") }
      return
    }
    let report: JSON = [
      "text": .string(answer.text), "end": .string(answer.end.rawValue), "tokens": .int(answer.tokens),
      "prompt_tokens": .int(answer.promptTokens), "adapter": session.bank.inUse.map { .string($0) } ?? .null,
    ]
    console.print(report.text())
  }
}

/// Raised by a signal, seen between two tokens.
private final class Interruption: Sendable {
  private let value = Atomic(false)

  var isRaised: Bool { value.load(ordering: .relaxed) }

  func raise() { value.store(true, ordering: .relaxed) }
}
