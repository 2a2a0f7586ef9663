import Files
import JSON

/// Makes models of one encoder.
enum SingleEncoder {
  static func model(
    _ family: EncoderFamily, _ given: EncoderConfig, _ reader: ConfigReader, _ directory: ModelDirectory, _ choice: HeadChoice,
    freshFrom seed: UInt64?
  ) throws(FileError) -> any Model {
    var config = given
    let prefix = config.names.prefix
    let architecture = try family.architecture(reader)
    func holds(_ path: String) -> Bool {
      directory.tensorNames.contains { $0.hasPrefix(path + ".") || $0.hasPrefix(prefix + path + ".") }
    }
    let isFresh = seed != nil
    let hasHead = family.head.map { architecture == $0.architecture || holds($0.output) } ?? false
    let head = try self.head(family, config, reader, choice, hasHead: hasHead, isFresh: isFresh)

    // In the libraries the bare model has a pooler, and of those with a head only the ones that read it.
    let poolerPath = config.names.pooler.map { prefix + $0 }
    let holdsPooler = config.names.pooler.map(holds) ?? false
    let hasPooler = head.map { $0.plan.source == .pooled } ?? (isFresh || holdsPooler)
    if case .dense = config.pooling, !hasPooler { config.pooling = .none }
    let drawsPooler = hasPooler && !isFresh && !holdsPooler && head?.isDrawn == true

    let plan = EncoderPlan(config, head == nil ? .alone : .underHead)
    let tensors = plan.tensors.map { tensor in
      var tensor = tensor
      if drawsPooler, let poolerPath, tensor.name.hasPrefix(poolerPath + ".") { tensor.isDrawn = true }
      return tensor
    }
    var weightPlan = WeightPlan(
      modelType: family.rawValue, tensors: tensors + (head?.plan.tensors ?? []),
      codable: (plan.maps + (head?.plan.maps ?? [])).map(\.weight), numbered: plan.positions, deviation: config.deviations.others,
      quantization: try QuantizationConfig(directory), prefix: prefix,
      unprefixed: family.pretrainingTensors + ["classifier."], spellings: plan.spellings, strays: [".position_ids"],
      ignored: family.pretrainingTensors)
    if head == nil || head?.isDrawn == true { weightPlan.ignored.append("classifier.") }
    if !hasPooler, let poolerPath { weightPlan.ignored.append(poolerPath + ".") }
    let weights =
      if let seed {
        try BaseWeights(weightPlan, seed: seed, file: reader.file)
      } else {
        try BaseWeights(weightPlan, from: directory, seed: head?.seed ?? 0)
      }
    let body = ModelBody(
      directory, weightPlan, weights, maps: plan.maps + (head?.plan.maps ?? []), tables: plan.tables, isFresh: isFresh,
      configuration: configuration(family, reader.config, head, choice, isPartial: !weights.leftOut.isEmpty))
    let encoder = Encoder(config, plan, weights)
    let bound = head.map { ClassificationHead($0.plan, weights) }
    switch config.input {
    case .text(let text): return SingleTextEncoder(body: body, encoder: encoder, text: text, head: bound)
    case .image(let image): return SingleImageEncoder(body: body, encoder: encoder, settings: image, head: bound)
    }
  }

  private struct Head {
    var plan: HeadPlan
    var isDrawn: Bool
    var seed: UInt64
  }

  private static func head(
    _ family: EncoderFamily, _ config: EncoderConfig, _ reader: ConfigReader, _ choice: HeadChoice, hasHead: Bool, isFresh: Bool
  ) throws(FileError) -> Head? {
    let stored = hasHead ? try ClassLabels(reader) : nil
    let (labels, isDrawn, seed): (ClassLabels, Bool, UInt64)
    switch choice {
    case .none: return nil
    case .stored:
      guard let stored else { return nil }
      (labels, isDrawn, seed) = (stored, isFresh, 0)
    case .classes(let wanted, let given): (labels, isDrawn, seed) = (wanted, isFresh || stored?.names != wanted.names, given)
    }
    guard let head = family.head else {
      throw FileError(
        .badData, reader.file, "model_type: a \(family.rawValue) model has no classifier here", remedy: "load it without a head")
    }
    guard !labels.names.isEmpty else {
      throw FileError(.badData, reader.file, "a classifier needs labels", remedy: "give one at least")
    }
    let dropout =
      config.isImage
      ? 0 : try reader.double("classifier_dropout", default: config.dropout.hidden, in: 0..<1)
    let plan = HeadPlan(
      head.source, dense: head.dense, output: head.output, hidden: config.hiddenSize, dropout: dropout, labels: labels,
      deviation: config.deviations.others, isDrawn: isDrawn)
    return Head(plan: plan, isDrawn: isDrawn, seed: seed)
  }

  /// The config with what has become of the head.
  private static func configuration(
    _ family: EncoderFamily, _ config: JSON, _ head: Head?, _ choice: HeadChoice, isPartial: Bool
  ) -> JSON {
    var changes: [JSON.Member] = []
    if case .classes = choice, let head { changes = head.plan.labels.members }
    if !changes.isEmpty || isPartial {
      let architecture = head == nil ? family.bareArchitecture : family.head?.architecture ?? family.bareArchitecture
      changes.append(.init("architectures", .array([.string(architecture)])))
    }
    guard !changes.isEmpty else { return config }
    var names = Set(changes.map(\.key))
    if names.contains("id2label") { names.insert("num_labels") }
    return .object((config.members ?? []).filter { !names.contains($0.key) } + changes)
  }
}

extension EncoderConfig {
  fileprivate var isImage: Bool {
    if case .image = input { true } else { false }
  }
}
