import AdapterFiles
import ArgumentParser
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Training

struct EvalCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "What a model makes of a data file: loss and perplexity, with --exact-match its answers; of an encoder, its classes.",
    discussion: "With several adapters and no --use, of the base and each of them: a table.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var task: TaskOptions

  @Option(help: ArgumentHelp("Text (.jsonl, .json, .txt), token ids (.safetensors), or images.", valueName: "file"))
  var data: String

  @Option(help: "Tokens an example may have; default: the model's limit.")
  var maxLength: Int?

  @Option(help: "What counts: completions and the assistant's turns, its last turn only, or every token.")
  var lossOn = RunFile.DataSettings.LossOn.completion

  @Option(help: "What the rows are; auto goes by the keys of each.")
  var format = RunFile.DataSettings.Format.auto

  @Option(help: "Tokens in a batch.")
  var batchTokens = 2048

  @OptionGroup var exact: ExactMatchOptions

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let maxLength, maxLength < 2 { throw ValidationError("--max-length must be at least 2") }
    if batchTokens < 1 { throw ValidationError("--batch-tokens must be at least 1") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    if let setup = try task.setup(model, data: data, format: format, maximumLength: maxLength) {
      guard !exact.exactMatch else { throw Failure(.usage, "--exact-match is for language models: encoders do not answer") }
      return try evaluate(setup, call)
    }
    let attached = try model.openAll(call)
    let examples = try examples(for: attached.model, call)
    let questions = try exact.questions(data, format, for: attached.model)
    let bank = attached.bank
    guard model.use == nil, bank.names.count > 1 else {
      let result = evaluation(NextTokens(attached.model), attached.adapter, examples, call)
      let match = try exact.asked(questions, attached.model, attached.adapter, call.console)
      return try report(result, match, examples, call)
    }
    // Several, and none is meant: each in its turn, beside the base.
    var results: [Row] = []
    for name in [AdapterBank.base] + bank.names {
      let adapter = name == AdapterBank.base ? nil : try bank.adapter(name)
      let result = evaluation(NextTokens(attached.model), adapter, examples, call)
      results.append((name, result, try exact.asked(questions, attached.model, adapter, call.console)))
    }
    return try report(results, examples, call)
  }

  /// Of one adapter among several.
  private typealias Row = (name: String, result: Evaluation, match: ExactMatch?)

  func evaluation(
    _ objective: any Objective, _ adapter: Adapter?, _ examples: [Example], _ call: Invocation
  ) -> Evaluation {
    let console = call.console
    let result = Evaluation.of(objective, adapter: adapter, examples, tokensPerBatch: batchTokens) { done in
      guard console.isTerminal else { return }
      let bar = ProgressBar(label: "examples", step: done, steps: examples.count)
      console.draw(bar.text(width: console.width, isUnicode: ProgressBar.isUnicode))
    }
    console.draw("")
    return result
  }

  private func report(
    _ result: Evaluation, _ match: ExactMatch?, _ examples: [Example], _ call: Invocation
  ) throws -> ExitStatus {
    if json {
      let members: [JSON.Member] = [
        .init("loss", .double(result.loss)), .init("perplexity", .double(result.perplexity)),
        .init("tokens", .int(result.tokens)), .init("examples", .int(examples.count)),
      ]
      call.console.print(JSON.object(members + (match.map { [$0.member] } ?? [])).text())
    } else {
      call.console.print("loss        \(Format.fixed(result.loss, 6))")
      call.console.print("perplexity  \(Format.significant(result.perplexity, 6))")
      call.console.print("tokens      \(Format.grouped(result.tokens)) in \(Format.grouped(examples.count)) examples")
      for line in match?.lines ?? [] { call.console.print(line) }
    }
    guard result.loss.isFinite else { throw Failure(.failed, "the loss is \(Format.plain(result.loss))") }
    return .ok
  }

  private func report(_ results: [Row], _ examples: [Example], _ call: Invocation) throws -> ExitStatus {
    let tokens = results.first?.result.tokens ?? 0
    if json {
      let rows = results.map { name, result, match in
        JSON.object(
          [
            .init("adapter", .string(name)), .init("loss", .double(result.loss)),
            .init("perplexity", .double(result.perplexity)),
          ] + (match.map { [$0.member] } ?? []))
      }
      call.console.print(
        (["results": .array(rows), "tokens": .int(tokens), "examples": .int(examples.count)] as JSON).text())
    } else {
      let rows = results.map { name, result, match in
        [name, Format.fixed(result.loss, 6), Format.significant(result.perplexity, 6)] + (match.map { [$0.summary] } ?? [])
      }
      let titles = ["adapter", "loss", "perplexity"] + (exact.exactMatch ? ["exact match"] : [])
      for line in Format.table([titles] + rows, right: [1, 2, 3]) { call.console.print(line) }
      call.console.print("\n\(Format.grouped(tokens)) tokens in \(Format.grouped(examples.count)) examples")
    }
    if let wrong = results.first(where: { !$0.result.loss.isFinite }) {
      throw Failure(.failed, "the loss of \(wrong.name) is \(Format.plain(wrong.result.loss))")
    }
    return .ok
  }

  private func examples(for model: any LanguageModel, _ call: Invocation) throws -> [Example] {
    let limit = min(maxLength ?? model.maximumPositions, model.maximumPositions)
    if data.hasSuffix(".safetensors") {
      let examples = try TokenFile.read(data, vocabulary: model.vocabularySize).examples
      if maxLength == nil, let long = examples.first(where: { $0.ids.count > limit }) {
        throw FileError(
          .badData, data, "holds sequences of \(long.ids.count) ids, but the model has \(limit) positions",
          remedy: "cut them with --max-length \(limit)")
      }
      return examples.map { $0.prefix(limit) }
    }
    let tokenizer = try RunSession.tokenizer(of: model)
    let encoder = Encoder(
      tokenizer: tokenizer, endOfText: try RunSession.endOfText(of: model, tokenizer), lossOn: lossOn, maximumLength: limit)
    let rows = try DataFile.read(data, format: format)
    let result = try encoder.withTemplate(of: model, for: rows).encodeAll(rows, of: data)
    let (cut, dropped) = (result.cut.count, result.dropped.count)
    if cut > 0 { call.console.note("note: \(data): \(cut) examples were cut to \(limit) tokens") }
    if dropped > 0 { call.console.note("note: \(data): \(dropped) examples have nothing that counts") }
    guard !result.examples.isEmpty else {
      throw FileError(.badData, data, "no example has a token that counts", remedy: "raise --max-length")
    }
    return result.examples
  }
}

extension RunFile.DataSettings.LossOn: ExpressibleByArgument {}
extension RunFile.DataSettings.Format: ExpressibleByArgument {}
