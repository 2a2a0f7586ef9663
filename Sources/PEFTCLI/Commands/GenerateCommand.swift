import ArgumentParser
import Files
import JSON
import Models
import Tokenization
import Training

struct GenerateCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Continue a text.",
    discussion: "The text appears as it is made. With temperature 0 the likeliest token is always taken.")

  @OptionGroup var model: ModelOptions

  @Option(name: .shortAndLong, help: "The text to continue.")
  var prompt: String

  @Flag(help: "Close the prompt with a new line, as `prompt` rows of training data are.")
  var ask = false

  @Flag(help: "Give the prompt as the user's turn, by the model's own chat template.")
  var chat = false

  @Option(name: [.customShort("n"), .long], help: "Tokens to add at most.")
  var maxNewTokens = 128

  @OptionGroup var draws: SamplingOptions

  @Flag(help: "Print one JSON object with text and token ids.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if ask, chat { throw ValidationError("--ask and --chat exclude one another") }
    if maxNewTokens < 0 { throw ValidationError("--max-new-tokens must not be negative") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let attached = try model.open(call)
    let tokenizer = try RunSession.tokenizer(of: attached.model)
    let ids = try opening(attached.model).ids(of: prompt, tokenizer)
    let generator = try TokenGenerator(
      attached.model, prompt: ids, maximumTokens: maxNewTokens,
      sampling: draws.sampling, stopIDs: try RunSession.stopIDs(of: attached.model, tokenizer),
      attachment: attached.adapter?.attached())
    let clock = ContinuousClock()
    let start = clock.now
    var made: [Int] = []
    var text = ""
    var stream = tokenizer.streamingDecoder()
    var stops = StopTexts(draws.stop)
    func show(_ piece: String) {
      text += piece
      if !json { call.console.write(piece) }
    }
    for try await id in generator {
      made.append(Int(id))
      show(stops.append(stream.append(Int(id))))
      // Whoever read the text has left.
      if call.console.isClosed { return .ok }
      if stops.isEnded { break }
    }
    show(stops.append(stream.finish()) + stops.finish())
    let seconds = (clock.now - start) / .seconds(1)
    if json {
      let report: JSON = [
        "prompt": .string(prompt), "text": .string(text), "ids": .array(made.map { .int($0) }),
        "prompt_ids": .array(ids.map { .int(Int($0)) }), "seconds": .double(seconds),
      ]
      call.console.print(report.text())
    } else {
      call.console.print()
    }
    call.log.debug("\(made.count) tokens in \(Format.duration(seconds))")
    return .ok
  }

  private func opening(_ model: any LanguageModel) throws -> PromptOpening {
    guard chat else { return ask ? .ask : .plain }
    guard let template = try RunSession.chatTemplate(of: model) else {
      throw FileError(
        .missing, model.directory.path, "has no chat template",
        remedy: "give the prompt as the model is to read it, without --chat")
    }
    return .chat(template)
  }
}
