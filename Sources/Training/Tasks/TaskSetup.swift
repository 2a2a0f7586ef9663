import AdapterFiles
import Files
import Models
import PEFTKernel
import Registry
import Tokenization

/// What a run's task makes of its file: a model with the head that the task needs, its objective, and what reads the data.
struct TaskSetup: Sendable {
  let objective: any Objective
  let reader: any DataReader
  /// The training rows, where they were read to know the classes.
  private(set) var rows: [DataRow]?

  /// `other` is a session on the same base and data: what does not follow from the seed is not read again.
  init(_ file: RunFile, sharing other: RunSession? = nil) throws {
    if let other, !file.fromScratch, other.model.freshParameters.isEmpty || other.file.seed == file.seed {
      (objective, reader) = (other.objective, other.data.reader)
      return
    }
    switch file.task {
    case .causalLM:
      let model =
        file.fromScratch ? try ModelLoader.fresh(config: file.baseModel, seed: file.seed) : try ModelLoader.load(file.baseModel)
      objective = NextTokens(model)
      reader = try LanguageReader(file, model)
    case .sequenceClassification:
      let stored = try Self.encoder(file)
      guard let texts = stored as? any TextEncoder & Classifier else { throw Self.unfit(stored, "an encoder of texts", file) }
      let encoded = try EncodedTexts(texts, limit: RunData.limit(file, texts))
      let found = try Self.rows(file, ClassTexts(encoded, labels: [], format: file.data.format))
      let labels = try Self.labels(file, found.rows, of: texts)
      objective = try Self.classification(file, stored, labels)
      reader = ClassTexts(encoded, labels: labels, format: file.data.format)
      rows = found.isWhole ? found.rows : nil
    case .imageClassification:
      let stored = try Self.encoder(file)
      guard let images = stored as? any ImageEncoder & Classifier else { throw Self.unfit(stored, "an encoder of images", file) }
      let found = try Self.rows(file, ClassImages(images, labels: []))
      let labels = try Self.labels(file, found.rows, of: images)
      objective = try Self.classification(file, stored, labels)
      reader = try ClassImages(images, labels: labels)
      rows = found.isWhole ? found.rows : nil
    case .sentenceEmbedding:
      let model = try Self.encoder(file, head: .none)
      guard let texts = model as? any TextEncoder else { throw Self.unfit(model, "an encoder of texts", file) }
      let pooling = try file.embedding.pooling.flatMap { SentencePairs.Pooling(rawValue: $0.rawValue) } ?? .stored(for: texts.directory)
      objective = SentencePairs(texts, pooling: pooling, scale: file.embedding.scale)
      reader = TextPairs(try EncodedTexts(texts, limit: RunData.limit(file, texts)), format: file.data.format)
    case .imageTextClassification:
      let model = try Self.encoder(file)
      guard let pair = model as? any ImageTextModel else { throw Self.unfit(model, "an encoder of images and texts", file) }
      let found = try Self.rows(file, ClassImages(pair, labels: []))
      let labels = file.labels ?? found.rows.labels
      let texts = try ClassPrompts(labels, file.data.promptTemplate).encoded(for: pair)
      objective = ImageTexts(pair, labels: ClassLabels(names: labels, problem: .singleLabel), texts: texts)
      reader = try ClassImages(pair, labels: labels)
      rows = found.isWhole ? found.rows : nil
    }
  }

  /// The training rows; bad ones are for others to report.
  private static func rows(_ file: RunFile, _ reader: some DataReader) throws -> (rows: [DataRow], isWhole: Bool) {
    guard let path = file.data.train else { return ([], false) }
    let (rows, bad) = try reader.inspect(path)
    return (rows, bad.isEmpty && !rows.isEmpty)
  }

  private static func encoder(_ file: RunFile, head: HeadChoice = .stored) throws -> any Model {
    file.fromScratch
      ? try ModelLoader.openFresh(config: file.baseModel, seed: file.seed, head: head)
      : try ModelLoader.open(file.baseModel, head: head)
  }

  private static func unfit(_ model: any Model, _ wanted: String, _ file: RunFile) -> ConfigurationErrors {
    file.fault(
      Refusal(
        "task is \(file.task.rawValue), which needs \(wanted), but \(file.baseModel) is a \(model.modelType) model",
        remedy: "choose another base_model, or another task"),
      at: "task")
  }

  /// The classes by id: as the run names them, or the adapter that it goes on from; else those of the rows, in the order of the model's
  /// own head where that has the same.
  private static func labels(_ file: RunFile, _ rows: [DataRow], of model: any Classifier) throws -> [String] {
    if let labels = file.labels { return labels }
    if let path = file.initAdapter, let labels = try AdapterReader.labels(of: path) { return labels.names }
    let found = rows.labels
    if let stored = model.labels?.names, Set(stored).isSuperset(of: found) { return stored }
    guard found.count > 1 else {
      throw file.fault(
        Refusal(
          "the training rows have \(found.isEmpty ? "no label" : "one label, \(found[0])"), and there is nothing to tell apart",
          remedy: "give rows of several labels, or name the classes under `labels`"),
        at: "data.train")
    }
    return found
  }

  /// With the model's own head where it is for these classes, else with a new one.
  private static func classification(_ file: RunFile, _ stored: any Model, _ labels: [String]) throws -> Classification {
    let wanted = ClassLabels(names: labels, problem: .singleLabel)
    let model = (stored as? any Classifier)?.labels == wanted ? stored : try encoder(file, head: .classes(wanted, seed: file.seed))
    return try RunSession.told(of: file, at: "task") { try Classification(model) }
  }
}

extension SentencePairs.Pooling {
  /// As the folder of a sentence-transformers model says; the mean where it says nothing.
  static func stored(for directory: ModelDirectory) throws -> SentencePairs.Pooling {
    let path = Folder.join(directory.path, "1_Pooling/config.json")
    guard Folder.isFile(path) else { return .mean }
    let config = try TextFile.readJSON(path)
    let modes = (config.members ?? []).filter { $0.key.hasPrefix("pooling_mode_") && $0.value.bool == true }.map(\.key)
    switch modes {
    case ["pooling_mode_mean_tokens"]: return .mean
    case ["pooling_mode_cls_token"]: return .first
    default:
      throw FileError(
        .badData, path, "pools by \(modes.isEmpty ? "nothing" : modes.joined(separator: " and "))",
        cause: "what is known is pooling_mode_mean_tokens or pooling_mode_cls_token", remedy: "say which with embedding.pooling")
    }
  }
}
