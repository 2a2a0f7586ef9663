import AdapterFiles
import Files
import Models
import PEFTKernel
import Registry
import Tokenization

/// A task on a model: what an encoder is to be opened for.
public struct TaskSettings: Sendable {
  public var task: RunFile.Task
  /// The model's directory.
  public var model: String
  public var fromScratch = false
  /// Of a new head, and of weights that are drawn.
  public var seed: UInt64 = 0
  /// The classes by id, where they are named.
  public var labels: [String]?
  /// An adapter that knows its classes.
  public var adapter: String?
  /// A file whose rows say the classes where nothing else does.
  public var data: String?
  public var format = RunFile.DataSettings.Format.auto
  /// Tokens a text may have; nil for the model's limit.
  public var maximumLength: Int?
  public var promptTemplate = RunFile.DataSettings.standardPrompt
  public var embedding = RunFile.EmbeddingSettings()

  public init(_ task: RunFile.Task, model: String) {
    self.task = task
    self.model = model
  }

  init(_ file: RunFile) {
    self.init(file.task, model: file.baseModel)
    (fromScratch, seed, labels, adapter) = (file.fromScratch, file.seed, file.labels, file.initAdapter)
    (data, format, maximumLength) = (file.data.train, file.data.format, file.data.maxSeqLen)
    (promptTemplate, embedding) = (file.data.promptTemplate, file.embedding)
  }
}

/// A model with the head that its task needs, the objective, and what reads the data.
public struct TaskSetup: Sendable {
  public let objective: any Objective
  let reader: any DataReader
  /// The rows that the classes were taken from, where all of them can be used.
  private(set) var rows: [DataRow]?

  private init(_ objective: any Objective, _ reader: any DataReader, rows: [DataRow]? = nil) {
    self.objective = objective
    self.reader = reader
    self.rows = rows
  }

  /// `other` is a session on the same base and data: what does not follow from the seed is not read again.
  init(_ file: RunFile, sharing other: RunSession? = nil) throws {
    if let other, !file.fromScratch, other.model.freshParameters.isEmpty || other.file.seed == file.seed {
      self.init(other.objective, other.data.reader)
    } else if file.task == .causalLM {
      let opened = try TaskSettings(file).open()
      guard let model = opened as? any LanguageModel else {
        throw file.fault(.noLanguageModel(file.baseModel, opened), at: "task")
      }
      self.init(NextTokens(model), try LanguageReader(file, model))
    } else {
      try self.init(TaskSettings(file)) { file.fault($0.refusal, at: $0.key) }
    }
  }

  /// Opens an encoder for any task but that of language models.
  public init(_ settings: TaskSettings) throws { try self.init(settings) { $0.refusal } }

  private init(_ settings: TaskSettings, blaming: (TaskFault) -> any Error) throws {
    do {
      let made = try settings.made()
      self.init(made.objective, made.reader, rows: made.rows)
    } catch let fault as TaskFault {
      throw blaming(fault)
    }
  }

  /// The examples of a data file, and words to the user.
  public func examples(of path: String) throws -> (examples: [Example], notes: [String]) {
    let rows = try reader.rows(of: path)
    let result = try reader.encoder(for: rows, lossOn: .all).encodeAll(rows, of: path)
    let cut = result.cut.isEmpty ? [] : ["\(path): \(result.cut.count) examples were cut to \(reader.limit) tokens"]
    return (result.examples, cut)
  }
}

/// What is wrong with a task on a model, and the key of a run file that is to blame.
struct TaskFault: Error {
  var key: String
  var refusal: Refusal

  init(_ key: String, _ refusal: Refusal) {
    self.key = key
    self.refusal = refusal
  }
}

extension TaskSettings {
  /// The task's parts.
  fileprivate func made() throws -> (objective: any Objective, reader: any DataReader, rows: [DataRow]?) {
    switch task {
    case .causalLM: throw TaskFault("task", Refusal("the task causal_lm is for language models", remedy: "name another task"))
    case .sequenceClassification:
      let stored = try open()
      guard let model = stored as? any TextEncoder & Classifier else { throw unfit(stored, "an encoder of texts") }
      let texts = try EncodedTexts(model, limit: limit(of: model))
      let found = try rows(ClassTexts(texts, labels: [], format: format))
      let labels = try classes(of: found.rows, model)
      return (
        try classification(stored, labels), ClassTexts(texts, labels: labels, format: format), found.isWhole ? found.rows : nil
      )
    case .imageClassification:
      let stored = try open()
      guard let model = stored as? any ImageEncoder & Classifier else { throw unfit(stored, "an encoder of images") }
      let found = try rows(ClassImages(model, labels: []))
      let labels = try classes(of: found.rows, model)
      return (try classification(stored, labels), try ClassImages(model, labels: labels), found.isWhole ? found.rows : nil)
    case .sentenceEmbedding:
      let model = try open(head: .none)
      guard let texts = model as? any TextEncoder else { throw unfit(model, "an encoder of texts") }
      let asked = embedding.pooling.flatMap { SentencePairs.Pooling(rawValue: $0.rawValue) }
      let objective = SentencePairs(texts, pooling: try asked ?? .stored(for: texts.directory), scale: embedding.scale)
      return (objective, TextPairs(try EncodedTexts(texts, limit: limit(of: texts)), format: format), nil)
    case .imageTextClassification:
      let model = try open()
      guard let pair = model as? any ImageTextModel else { throw unfit(model, "an encoder of images and texts") }
      let found = try rows(ClassImages(pair, labels: []))
      let labels = try classes(of: found.rows, nil)
      let sentences = try prompts(labels)
      let texts = try EncodedTexts(pair, limit: limit(of: pair))
      let ids = try sentences.map { sentence in
        do throws(RowProblem) { return try texts.encode(sentence).ids } catch {
          throw TaskFault("labels", Refusal("the text `\(sentence)`: \(error.reason)"))
        }
      }
      let objective = ImageTexts(pair, labels: ClassLabels(names: labels, problem: .singleLabel), texts: ids)
      return (objective, try ClassImages(pair, labels: labels), found.isWhole ? found.rows : nil)
    }
  }

  fileprivate func open(head: HeadChoice = .stored) throws -> any Model {
    fromScratch ? try ModelLoader.openFresh(config: model, seed: seed, head: head) : try ModelLoader.open(model, head: head)
  }

  fileprivate func limit(of texts: any TextModel) throws -> Int {
    let positions = texts.maximumPositions
    if let maximumLength, maximumLength > positions {
      throw TaskFault("data.max_seq_len", .tooLong(maximumLength, positions, model))
    }
    return min(maximumLength ?? positions, positions)
  }

  /// The rows that may name classes; bad ones are for others to report.
  fileprivate func rows(_ reader: some DataReader) throws -> (rows: [DataRow], isWhole: Bool) {
    guard let data else { return ([], false) }
    let (rows, bad) = try reader.inspect(data)
    return (rows, bad.isEmpty && !rows.isEmpty)
  }

  fileprivate func unfit(_ opened: any Model, _ wanted: String) -> TaskFault {
    TaskFault(
      "task",
      Refusal(
        "task is \(task.rawValue), which needs \(wanted), but \(model) is a \(opened.modelType) model",
        remedy: "choose another model, or another task"))
  }

  /// The classes by id: as they are named, or as the adapter has them; else those of the rows, in the order of the model's own head
  /// where that has the same.
  fileprivate func classes(of rows: [DataRow], _ classifier: (any Classifier)?) throws -> [String] {
    if let labels { return labels }
    if let adapter, let labels = try AdapterReader.labels(of: adapter, base: model) { return labels.names }
    let found = rows.labels
    if let stored = classifier?.labels?.names, Set(stored).isSuperset(of: found) { return stored }
    guard found.count > 1 else {
      throw TaskFault(
        "data.train",
        Refusal(
          "the rows have \(found.isEmpty ? "no label" : "one label, \(found[0])"), and there is nothing to tell apart",
          remedy: "give rows of several labels, or name the classes under `labels`"))
    }
    return found
  }

  fileprivate func prompts(_ labels: [String]) throws(TaskFault) -> [String] {
    do throws(Refusal) { return try ClassPrompts(labels: labels, template: promptTemplate).texts } catch {
      throw TaskFault("data.prompt_template", error)
    }
  }

  /// With the model's own head where it is for these classes, else with a new one.
  fileprivate func classification(_ stored: any Model, _ labels: [String]) throws -> Classification {
    let wanted = ClassLabels(names: labels, problem: .singleLabel)
    let model = (stored as? any Classifier)?.labels == wanted ? stored : try open(head: .classes(wanted, seed: seed))
    do throws(Refusal) { return try Classification(model) } catch { throw TaskFault("task", error) }
  }
}

extension RunFile.Task {
  /// What a model can be used for.
  public static func all(of model: any Model) -> [RunFile.Task] {
    var tasks: [RunFile.Task] = []
    if model is any LanguageModel { tasks.append(.causalLM) }
    if model is any TextEncoder & Classifier { tasks.append(.sequenceClassification) }
    if model is any TextEncoder { tasks.append(.sentenceEmbedding) }
    if model is any ImageEncoder & Classifier { tasks.append(.imageClassification) }
    if model is any ImageTextModel { tasks.append(.imageTextClassification) }
    return tasks
  }
}

extension Refusal {
  fileprivate static func noLanguageModel(_ path: String, _ opened: any Model) -> Refusal {
    Refusal(
      "task is causal_lm, which needs a language model, but \(path) is an encoder (\(opened.modelType))",
      remedy: "set task: \(RunFile.Task.all(of: opened).map(\.rawValue).joined(separator: " or task: "))")
  }

  static func tooLong(_ asked: Int, _ positions: Int, _ model: String) -> Refusal {
    Refusal("data.max_seq_len is \(asked), but \(model) has \(positions) positions", remedy: "use at most \(positions)")
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
