import AdapterFiles
import ArgumentParser
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Training

struct PredictCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "predict", abstract: "The classes of texts or images, or the vectors of texts: one JSON object a line.",
    discussion: "Of a classifier, or with --task sentence_embedding of any encoder of texts.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var task: TaskOptions

  @Option(help: ArgumentHelp("Texts or images; what is known of their classes is left aside.", valueName: "file"))
  var data: String?

  @Option(help: "A text; may be repeated.")
  var text: [String] = []

  @Option(help: "Classes that are told of each, the likeliest first.")
  var top = 3

  @Option(help: "Tokens a text may have; default: the model's limit.")
  var maxLength: Int?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if (data == nil) == text.isEmpty { throw ValidationError("give either --data or --text") }
    if top < 1 { throw ValidationError("--top must be at least 1") }
    if let maxLength, maxLength < 2 { throw ValidationError("--max-length must be at least 2") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    guard let setup = try task.setup(model, data: data, maximumLength: maxLength) else {
      throw Failure(.usage, "a language model goes on from a text: `\(Invocation.command) generate` does that")
    }
    let bank = try model.bank(on: setup.objective.model, call)
    guard model.use != nil || bank.names.count < 2 else {
      throw Failure(.usage, "there are \(bank.names.count) adapters; say which is used with --use")
    }
    let inputs = try data.map { try setup.inputs(of: $0) } ?? setup.inputs(text)
    setup.predictions(inputs, adapter: bank.active) { call.console.print(line($0).text()) }
    return .ok
  }

  private func line(_ prediction: Prediction) -> JSON {
    guard let first = prediction.classes.first else {
      return ["embedding": .array(prediction.vector.map { .double(Double($0)) })]
    }
    return [
      "label": .string(first.name), "probability": .double(first.probability),
      "classes": .object(prediction.classes.prefix(top).map { .init($0.name, .double($0.probability)) }),
    ]
  }
}
