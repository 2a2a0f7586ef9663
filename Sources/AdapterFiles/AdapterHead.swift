import Files
import JSON
import Models

/// What an adapter's files say of a head that tells classes apart.
struct AdapterHead {
  /// The classes, where the files name them.
  let named: ClassLabels?
  /// How many there are; nil where the files hold no head.
  let count: Int?

  /// Those of two maps first: by their last.
  private static let heads = ["classifier.out_proj", "classifier", "score"]
  /// Tasks of PEFT's whose heads say something of every token.
  private static let tokenTasks: Set = ["TOKEN_CLS", "QUESTION_ANS"]
  private static let mostClasses = 1 << 20

  /// Files of this project name them. Those of PEFT hold the head's weight: [classes, hidden].
  init(_ folder: AdapterFolder, _ record: AdapterRecord?) throws(FileError) {
    let labels: ClassLabels?
    if let record { labels = record.labels } else { labels = try AdapterMetadata(folder.weights).labels }
    if record != nil || labels != nil {
      (named, count) = (labels, labels?.names.count)
      return
    }
    named = nil
    guard let weight = Self.weight(folder) else {
      count = nil
      return
    }
    if let task = folder.config["task_type"]?.string, Self.tokenTasks.contains(task) {
      throw FileError(
        .badData, folder.configPath, "task_type: is \(task)",
        cause: "its head says something of every token, which is not computed here",
        remedy: "use it in PEFT")
    }
    guard weight.shape.count == 2, weight.shape[1] > 0, (1...Self.mostClasses).contains(weight.shape[0]) else {
      throw FileError(
        .badData, folder.weights.path, "tensor '\(printable(weight.name))' has shape \(weight.shape)",
        cause: "a head's last weight is [classes, hidden size]")
    }
    count = weight.shape[0]
  }

  /// The weight that gives the logits, where the files bring the head along.
  private static func weight(_ folder: AdapterFolder) -> TensorEntry? {
    let saved = folder.config["modules_to_save"]?.array?.compactMap(\.string) ?? []
    for head in heads where saved.contains(where: { !$0.isEmpty && (head.hasSuffix($0) || head.hasPrefix($0 + ".")) }) {
      let known = KnownTensors([["base_model.model.\(head).weight"]])
      if let found = folder.weights.tensors.first(where: { known.resolve($0.name) != nil }) { return found }
    }
    return nil
  }

  /// The classes, by the names that `base`'s config.json has for as many where the files give none, else by LABEL_0 and so on.
  func labels(base: String?) -> ClassLabels? {
    if let named { return named }
    guard let count else { return nil }
    if let base, let directory = try? ModelDirectory(configurationOf: base), let labels = try? ClassLabels(directory),
      labels.names.count == count
    {
      return labels
    }
    return ClassLabels(names: (0..<count).map { "LABEL_\($0)" })
  }

  /// Refuses a model that has another head.
  func check(_ model: any Model, _ folder: AdapterFolder, _ notes: inout [String]) throws(FileError) {
    let own = model.classes
    guard let count else {
      if own != nil, !model.drawnModules.isEmpty {
        notes.append("the adapter brings no head along: the model's is new, and says nothing yet")
      }
      return
    }
    guard let own else {
      throw FileError(
        .badData, folder.path, "has a head for \(Self.text(count, named))", cause: "the \(model.modelType) model has none",
        remedy: "open the base with the adapter's labels")
    }
    guard own.names.count == count, named.map({ $0.names == own.names }) ?? true else {
      throw FileError(
        .badData, folder.path, "has a head for \(Self.text(count, named))",
        cause: "the model's is for \(Self.text(own.names.count, own))", remedy: "open the base with the adapter's labels")
    }
  }

  private static func text(_ count: Int, _ labels: ClassLabels?) -> String {
    "\(count) \(count == 1 ? "label" : "labels")" + (labels.map { ": " + AdapterNames.listed($0.names) } ?? "")
  }
}

extension AdapterReader {
  /// The classes that the head in an adapter's files tells apart, in order; nil where they hold none.
  ///
  /// Files of this project name them. Those of PEFT hold numbers only: how many classes there are the head's shape says, and they are
  /// called what config.json in `base` calls as many, or else LABEL_0, LABEL_1, ….
  public static func labels(of path: String, base: String? = nil) throws -> ClassLabels? {
    guard try AdapterFormat(of: path) == .peft else { return nil }
    let folder = try AdapterFolder(path)
    return try AdapterHead(folder, AdapterRecord(folder.config, path: folder.configPath)).labels(base: base)
  }

  /// With which head a base is to be opened for the adapter in `path`: one of its labels, none where the adapter is of an encoder
  /// without one, else what the base's files have.
  public static func head(of path: String, base: String? = nil) throws -> HeadChoice {
    // What the adapter holds takes the place of whatever is drawn.
    if let labels = try labels(of: path, base: base) { return .classes(labels, seed: 0) }
    guard try AdapterFormat(of: path) == .peft else { return .stored }
    return try AdapterFolder(path).config["task_type"] == "FEATURE_EXTRACTION" ? .none : .stored
  }

  /// The model in the directory `base`, with the head that the adapter in `path` needs; with what its files have where that is nil.
  public static func base(_ base: String, for path: String?) throws -> any Model {
    try ModelLoader.open(base, head: try path.map { try head(of: $0, base: base) } ?? .stored)
  }
}
