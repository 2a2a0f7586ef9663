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
  /// What a run's folder calls its run file, with every path and default filled in: not what people call theirs.
  public static let fileName = "resolved.yaml"

  public let file: RunFile
  public let registry: MethodRegistry
  /// What is learned, and with it the model.
  public let objective: any Objective
  /// Nil where the run is fed with token ids.
  public let tokenizer: Tokenizer?
  public let training: [Example]
  public let validation: [Example]
  /// Evaluated once, at the end.
  public let test: [Example]
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

  /// The texts as read, for sessions that share them.
  let data: RunData

  /// Opens what the file names. Nothing is written.
  public init(_ file: RunFile, registry: MethodRegistry) throws { try self.init(file, registry: registry, sharing: nil) }

  /// With `other`, a session on the same base and data, neither is read again.
  init(_ file: RunFile, registry: MethodRegistry, sharing other: RunSession?) throws {
    self.file = file
    self.registry = registry
    let setup = try TaskSetup(file, sharing: other)
    objective = setup.objective
    let model = setup.objective.model
    let data = try other?.data ?? RunData(file, setup.reader, for: model, rows: setup.rows)
    self.data = data
    (tokenizer, training, validation, test) = (data.tokenizer, data.training, data.validation, data.test)
    var notes = data.notes
    let isOrdered = file.data.tokens != nil || !file.data.shuffle
    batches = BatchPlan(
      training, batchSize: file.batchSize, accumulation: file.gradientAccumulation,
      packedLength: file.data.packing ? data.limit : nil, shuffles: !isOrdered,
      groupedSteps: file.data.groupByLength ? RunFile.DataSettings.groupedSteps : nil, seed: file.seed)
    let (whole, isTooMany) = (file.epochs ?? 1).multipliedReportingOverflow(by: batches.stepsPerEpoch)
    guard !isTooMany else {
      throw file.fault(Refusal("so many passes of \(batches.stepsPerEpoch) steps are more than can be counted"), at: "epochs")
    }
    steps = file.steps ?? whole
    if isOrdered, file.data.tokens != nil, steps > batches.stepsPerEpoch {
      notes.append("the token file has \(batches.stepsPerEpoch) steps; \(steps) steps go through it more than once")
    }
    if let path = file.initAdapter {
      let stored = try AdapterReader.read(path, for: model, registry: registry)
      given = stored
      entry = stored.entry
      sites = stored.adapter.sites
      parameterization = try Self.told(of: file, at: "init_adapter") { try registry.assemble(stored.entry) }
      notes += stored.notes
    } else {
      guard var method = file.method else { throw Refusal("the run file names neither method nor init_adapter") }
      given = nil
      method.trainHead(of: model, isNamed: file.modulesToSave != nil)
      let (base, own) = (model, method)
      let chosen = try Self.told(of: file, at: "method") { try own.embeddingTexts(registry, base, data.tokenizer) }
      entry = chosen
      parameterization = try Self.told(of: file, at: "method") { try registry.assemble(chosen) }
      let isOff = method.trainable.keepsAdaptersOff
      sites =
        method.trainable.roles.isEmpty
        ? [] : try file.selectSites(from: model.adaptable).filter { !$0.paths.contains(where: isOff) }
      let (axes, sites) = (parameterization, sites)
      try Self.told(of: file, at: method.trainable.modules.isEmpty ? "method" : "modules_to_save") {
        try Trainer.check(axes.trainable, on: base, at: sites)
      }
      try Self.told(of: file, at: "method") { try Self.checkLayout(axes, sites) }
    }
    self.notes = notes
  }

  public var model: any Model { objective.model }

  /// Nil where the task is none of a language model's.
  public var language: (any LanguageModel)? { (objective as? NextTokens)?.language }

  /// How a prompt begins that is like what the run learns from.
  public var opening: PromptOpening { data.opening }

  /// The adapter at step 0: the given one, or one started as the method says. `seen` is told of the batches a start looks at.
  public func startedAdapter(seen: (_ batch: Int, _ batches: Int) -> Void = { _, _ in }) throws -> Adapter {
    if let given { return given.adapter }
    return try Self.told(of: file, at: "method") {
      try evidenceStage().start(seen: seen)
    }
  }

  /// What the start looks at before the first step.
  func evidenceStage() throws -> EvidenceStage {
    let wants = parameterization.initialization.wants
    let looksBack = wants.original || wants.inputs != nil
    return EvidenceStage(
      parameterization, sites: sites, for: objective, examples: training, seed: file.seed,
      origin: looksBack ? try origin() : nil,
      firstRate: file.optimizer.lr * schedule.factor(at: 0),
      activations: activations)
  }

  /// The objective on the model that a quantized one was made from.
  private func origin() throws -> (any Objective)? {
    let head = model.classes.map { HeadChoice.classes($0, seed: file.seed) } ?? .none
    return try ModelLoader.origin(of: model, head: head).map { try objective.on($0) }
  }

  var activations: Activations { file.activationCheckpointing ? .recomputed : .kept }

  var schedule: Schedule {
    let settings = file.optimizer
    return Schedule(
      Schedule.Shape(rawValue: settings.schedule.rawValue) ?? .constant, warmup: settings.warmupSteps(of: steps),
      total: steps, floor: settings.minLRRatio)
  }

  /// A trainer at step 0.
  public func trainer(for adapter: Adapter) throws -> Trainer {
    guard let optimizer = registry.axes.optimizers[file.optimizer.name] else {
      throw Refusal(
        "there is no optimizer \(file.optimizer.name)",
        remedy: "known: " + registry.axes.optimizers.keys.sorted().joined(separator: ", "))
    }
    let settings = file.optimizer
    let rule = try Self.told(of: file, at: "optimizer.name") {
      try optimizer.make(Options(settings.options, checkedBy: optimizer.options))
    }
    do throws(Refusal) {
      return try Trainer(
        objective, adapter: adapter, batches: batches, optimizer: rule, peakRate: settings.lr, schedule: schedule,
        clipNorm: file.clipGradNorm, seed: file.seed, activations: activations)
    } catch {
      // What an optimizer cannot serve is told with its name first.
      let isOptimizers = error.reason.hasPrefix(settings.name + " ")
      throw file.fault(error, at: isOptimizers ? "optimizer.name" : given == nil ? "method" : "init_adapter")
    }
  }
}

extension MethodEntry {
  /// Has what is drawn of a classifier trained in full beside the adapter, as the field does, and a head that is there, unless the run
  /// names the modules that it trains.
  fileprivate mutating func trainHead(of model: any Model, isNamed: Bool) {
    guard !trainable.base, model.classes != nil else { return }
    let heads = isNamed ? [] : model.sites.filter { $0.use == "head" }.map { String($0.id.path.prefix { $0 != "." }) }
    for module in model.drawnModules + heads where !trainable.modules.contains(where: { module.hasSuffix($0) }) {
      trainable.modules.append(module)
    }
  }
}

extension RunSession {
  /// Refuses an adapter of which nothing is trained, or that the machine's memory cannot hold.
  private static func checkLayout(_ parameterization: any Parameterization, _ sites: [Site]) throws(Refusal) {
    let layout = try Adapter.layout(parameterization, over: sites)
    let subset = parameterization.trainable
    guard layout.isEmpty || layout.contains(where: { subset.contains($0.role) }) else {
      let roles = Set(layout.map(\.role.name)).intersection(Role.trainableNames).sorted().joined(separator: ", ")
      throw Refusal(
        "nothing is trainable: no tensor of this projection is a \(subset.roles.sorted().joined(separator: " or "))",
        remedy: "name some of \(roles) under trainable")
    }
    let (bytes, memory) = (layout.reduce(0.0) { $0 + 4 * Double($1.count) }, ProcessMemory.installed)
    guard bytes < memory else {
      throw Refusal(
        "the adapter would take \(Int((bytes / 0x1p30).rounded())) GiB, more than this machine's "
          + "\(Int((memory / 0x1p30).rounded())) GiB", remedy: "use smaller options, the rank above all")
    }
  }

  /// What `body` refuses, at the place of the key that asked for it.
  static func told<Value>(of file: RunFile, at key: String, _ body: () throws -> Value) throws -> Value {
    do { return try body() } catch let refusal as Refusal { throw file.fault(refusal, at: key) }
  }

  /// Refuses a folder in which the run's adapter could not be written, before time is spent on it.
  public func checkTarget(_ path: String, existing: AtomicDirectory.Existing = .replace) throws(FileError) {
    try AdapterWriter.check(path, model: model, origin: given?.origin, existing: existing)
  }

  /// Writes the adapter as the run leaves it. What the run reads is never replaced, nor a folder with strange files in it.
  ///
  /// `base` is the model directory that belongs to it, where the run trained the base as well.
  public func write(
    _ adapter: Adapter, on base: String? = nil, existing: AtomicDirectory.Existing = .replace, to path: String
  ) throws {
    try AdapterWriter.write(
      adapter, entry: entry, registry: registry, model: model, origin: given?.origin,
      base: try base.map { (path) throws(FileError) in try ModelDirectory(path) }, existing: existing, to: path)
  }
}
