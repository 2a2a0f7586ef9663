import AdapterFiles
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Tokenization

/// Everything a run file names, opened and checked: the model, the tokenizer, the data, the sites, the method.
public struct RunSession: Sendable {
  public let file: RunFile
  public let registry: MethodRegistry
  public let model: any LanguageModel
  /// Nil where the run is fed with token ids.
  public let tokenizer: Tokenizer?
  public let training: [Example]
  public let validation: [Example]
  /// The adapter directory the run goes on from.
  public let given: StoredAdapter?
  public let entry: MethodEntry
  public let parameterization: Assembly
  /// The sites the method adapts, in forward order.
  public let sites: [Site]
  /// Words the user should read before the run starts.
  public let notes: [String]
  public let batches: BatchPlan
  /// Optimizer steps in all.
  public let steps: Int

  /// Opens what the file names. Nothing is written.
  public init(_ file: RunFile, registry: MethodRegistry) throws {
    self.file = file
    self.registry = registry
    model =
      file.fromScratch
      ? try ModelLoader.fresh(config: file.baseModel, seed: file.seed) : try ModelLoader.load(file.baseModel)
    var notes: [String] = []
    let positions = model.maximumPositions
    let limit = min(file.data.maxSeqLen ?? model.maximumPositions, model.maximumPositions)
    if let asked = file.data.maxSeqLen, asked > model.maximumPositions {
      throw Refusal(
        "data.max_seq_len is \(asked), but \(file.baseModel) has \(model.maximumPositions) positions",
        remedy: "use at most \(model.maximumPositions)")
    }
    var isOrdered = !file.data.shuffle
    if let path = file.data.tokens {
      self.tokenizer = nil
      let tokens = try TokenFile.read(path, vocabulary: model.vocabularySize)
      training = tokens.examples
      validation = []
      if tokens.batchSize != file.batchSize * file.gradientAccumulation {
        throw Refusal(
          "\(path) holds batches of \(tokens.batchSize), but batch_size · gradient_accumulation is "
            + "\(file.batchSize * file.gradientAccumulation)", remedy: "make them equal")
      }
      if let longest = tokens.examples.first(where: { $0.ids.count > positions }) {
        throw Refusal(
          "\(path) holds sequences of \(longest.ids.count) ids, but the model has \(model.maximumPositions) positions")
      }
      isOrdered = true
    } else {
      let tokenizer = try Self.tokenizer(of: model)
      self.tokenizer = tokenizer
      let encoder = Encoder(
        tokenizer: tokenizer, endOfText: Self.endOfText(of: model, tokenizer), learnsPrompt: file.data.lossOn == .all,
        maximumLength: limit)
      func read(_ path: String?) throws -> [Example] {
        guard let path else { return [] }
        let result = encoder.examples(try DataFile.read(path))
        if result.cut > 0 { notes.append("\(path): \(result.cut) examples were cut to \(limit) tokens") }
        if result.dropped > 0 { notes.append("\(path): \(result.dropped) examples had nothing to learn within \(limit) tokens") }
        guard !result.examples.isEmpty else {
          throw FileError(.badData, path, "no example has anything to learn", remedy: "raise data.max_seq_len")
        }
        return result.examples
      }
      training = try read(file.data.train)
      validation = try read(file.data.valid)
    }
    batches = BatchPlan(
      training, batchSize: file.batchSize, accumulation: file.gradientAccumulation,
      packedLength: file.data.packing ? limit : nil, shuffles: !isOrdered, seed: file.seed)
    steps = file.steps ?? (file.epochs ?? 1) * batches.stepsPerEpoch
    if isOrdered, file.data.tokens != nil, steps > batches.stepsPerEpoch {
      notes.append("the token file has \(batches.stepsPerEpoch) steps; \(steps) steps go through it more than once")
    }
    if let path = file.initAdapter {
      let stored = try AdapterReader.read(path, for: model, registry: registry)
      given = stored
      entry = stored.entry
      sites = stored.adapter.sites
      parameterization = try registry.assemble(stored.entry)
      notes += stored.notes
    } else {
      guard let method = file.method else { throw Refusal("the run file names neither method nor init_adapter") }
      given = nil
      entry = method
      parameterization = try registry.assemble(method)
      sites = method.trainable.roles.isEmpty ? [] : try file.selectSites(from: model.sites)
    }
    self.notes = notes
  }

  /// The model's own tokenizer, checked against its vocabulary.
  public static func tokenizer(of model: any LanguageModel) throws -> Tokenizer {
    let path = Folder.join(model.directory.path, "tokenizer.json")
    guard Folder.isFile(path) else {
      throw FileError(
        .missing, path, "is missing: text cannot be turned into tokens",
        remedy: "copy the tokenizer.json that belongs to the model")
    }
    let json = try TextFile.readJSON(path)
    let tokenizer: Tokenizer
    do throws(TokenizerError) {
      tokenizer = try Tokenizer(json: json)
    } catch {
      throw FileError(.badData, path, "cannot be used: \(error)")
    }
    guard tokenizer.vocabularySize <= model.vocabularySize else {
      throw FileError(
        .badData, path,
        "knows \(tokenizer.vocabularySize) tokens, but the model's table has \(model.vocabularySize) rows",
        remedy: "use the tokenizer.json that belongs to the model")
    }
    return tokenizer
  }

  /// The id that ends a text, from `config.json`'s `eos_token_id` (the first, where there are several).
  public static func endOfText(of model: any LanguageModel, _ tokenizer: Tokenizer) -> Int? {
    let value = model.directory.config["eos_token_id"]
    guard let id = value?.int ?? value?.array?.first?.int, id >= 0, id < tokenizer.vocabularySize else { return nil }
    return id
  }

  /// The adapter at step 0: the given one, or one started as the method says. `note` is given what the user should know.
  public func startedAdapter(note: (String) -> Void = { _ in }) throws -> Adapter {
    if let given { return given.adapter }
    return try EvidenceStage.start(parameterization, sites: sites, on: model, examples: training, seed: file.seed, note: note)
  }

  /// A trainer at step 0, of the run's batches or of others.
  public func trainer(for adapter: Adapter, batches: BatchPlan? = nil) throws -> Trainer {
    guard let optimizer = registry.axes.optimizers[file.optimizer.name] else {
      throw Refusal(
        "there is no optimizer \(file.optimizer.name)",
        remedy: "known: " + registry.axes.optimizers.keys.sorted().joined(separator: ", "))
    }
    let settings = file.optimizer
    let rule = try optimizer.make(Options(settings.options, checkedBy: optimizer.options))
    let schedule = Schedule(
      Schedule.Shape(rawValue: settings.schedule.rawValue) ?? .constant, warmup: settings.warmupSteps(of: steps),
      total: steps, floor: settings.minLRRatio)
    return try Trainer(
      model: model, adapter: adapter, batches: batches ?? self.batches, optimizer: rule, peakRate: settings.lr,
      schedule: schedule,
      clipNorm: file.clipGradNorm, seed: file.seed)
  }
}

extension RunSession {
  /// Writes the adapter as the run leaves it.
  public func write(_ adapter: Adapter, to path: String) throws {
    try AdapterWriter.write(
      adapter, entry: entry, registry: registry, model: model, origin: given?.origin, existing: .replace, to: path)
  }
}
