import AdapterFiles
import ArgumentParser
import Files
import Models
import PEFTKernel
import Registry
import Training

/// What an encoder is opened for.
struct TaskOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What an encoder is to do; default: tell the classes apart that the model or the adapter knows.", valueName: "task"))
  var task: RunFile.Task?

  @Option(help: "The text of a class, for image_text_classification.")
  var promptTemplate = RunFile.DataSettings.standardPrompt

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("The classes by id, where neither model nor adapter knows them.", valueName: "name"))
  var labels: [String] = []

  @Option(help: "How a text becomes a vector, for sentence_embedding; default: as the model's folder says, else mean.")
  var pooling: RunFile.EmbeddingSettings.Pooling?

  /// Nil where the model is a language model, and no other task is asked for. `data` says the classes where nothing else does.
  func setup(
    _ model: ModelOptions, data: String?, format: RunFile.DataSettings.Format = .auto, maximumLength: Int? = nil
  ) throws -> TaskSetup? {
    guard let task = try task ?? implied(model), task != .causalLM else { return nil }
    var settings = TaskSettings(task, model: model.model)
    settings.labels = labels.isEmpty ? nil : labels
    settings.adapter = try model.adapter.map { NamedFolder($0).folder }.first { try AdapterReader.labels(of: $0, base: model.model) != nil }
    (settings.data, settings.format) = (data, format)
    settings.maximumLength = maximumLength
    settings.promptTemplate = promptTemplate
    settings.embedding.pooling = pooling
    return try TaskSetup(settings)
  }

  /// What follows from the model and the adapters.
  private func implied(_ options: ModelOptions) throws -> RunFile.Task? {
    let model = try ModelLoader.open(options.model)
    if model is any LanguageModel { return nil }
    if model is any ImageTextModel { return .imageTextClassification }
    let known = try options.adapter.contains { try AdapterReader.labels(of: NamedFolder($0).folder, base: options.model) != nil }
    guard known || (model as? any Classifier)?.labels != nil || !labels.isEmpty else {
      throw Failure(
        .usage,
        "a \(model.modelType) model without a head for classes: say what it is to do with --task, such as "
          + "--task \(RunFile.Task.sentenceEmbedding.rawValue)")
    }
    return model is any ImageEncoder ? .imageClassification : .sequenceClassification
  }
}

extension RunFile.Task: ExpressibleByArgument {}
extension RunFile.EmbeddingSettings.Pooling: ExpressibleByArgument {}

extension ModelOptions {
  /// The adapters for a model that is open.
  func bank(on base: any Model, _ call: Invocation) throws -> AdapterBank {
    var bank = try NamedFolder.bank(adapter, on: base, call)
    do throws(Refusal) {
      try bank.use(use ?? (bank.names.count == 1 ? bank.names.first : nil))
    } catch {
      throw Failure(.usage, "--use: \(error)")
    }
    return bank
  }
}
