import Files
import PEFTKernel
import YAML

extension RunFile {
  /// The sites of a base model directory; the second argument says whether it is read for its config alone.
  public typealias SiteSource = (_ baseModel: String, _ fromScratch: Bool) throws -> [Site]

  /// Reads a run file and checks it whole, its paths included. With `sites`, selectors are checked against the model, too.
  public static func load(
    _ path: String, registry: MethodRegistry, sites: SiteSource? = nil
  ) throws(ConfigurationErrors) -> RunFile {
    let text: String
    do throws(FileError) { text = try TextFile.read(path, maximumBytes: 1 << 24) } catch {
      throw ConfigurationErrors([Issue(error.reason, kind: error.kind == .missing ? .missing : .configuration, file: path)])
    }
    return try parse(text, path: path, registry: registry, sites: sites)
  }

  /// Reads the text of a run file; `path` is where it stands, for messages and for relative paths.
  public static func parse(
    _ text: String, path: String, registry: MethodRegistry, sites: SiteSource? = nil
  ) throws(ConfigurationErrors) -> RunFile {
    var duplicates: [YAMLError] = []
    let node: YAMLNode
    do throws(YAMLError) { node = try YAMLNode.parse(text, file: path, duplicates: &duplicates) } catch {
      throw ConfigurationErrors([Issue(error)])
    }
    return try read(node, duplicates, path: path, registry: registry, sites: sites)
  }

  /// Reads what a text was parsed to.
  static func read(
    _ node: YAMLNode, _ duplicates: [YAMLError], path: String, registry: MethodRegistry, sites: SiteSource?
  ) throws(ConfigurationErrors) -> RunFile {
    let folder = Folder.absolute(Folder.split(path).folder)
    var reader = RunReader(node: node, entries: registry.reader(path, folder: folder, schema: RunSchema.keys))
    for duplicate in duplicates { reader.entries.reader.log.add(duplicate.message, at: duplicate.mark) }
    let run = reader.run(path, sites)
    try reader.entries.reader.log.finish()
    guard let run else { throw ConfigurationErrors([Issue("cannot be read", file: path)]) }
    return run
  }
}

/// Reads one run file: the keys by their table, the method, the optimizer, then what only all of them show.
struct RunReader {
  let node: YAMLNode
  var entries: EntryReader
  var items: [String: SchemaReader.Item] = [:]

  init(node: YAMLNode, entries: EntryReader) {
    self.node = node
    self.entries = entries
  }

  /// Nil where something is wrong that the log has.
  mutating func run(_ path: String, _ sites: RunFile.SiteSource?) -> RunFile? {
    items = entries.reader.section(node, RunSchema.keys)
    guard node.entries != nil else { return nil }
    let method = node["method"].flatMap { $0.isNull ? nil : entries.method($0, path: "method") }.map(withBaseTensors)
    let optimizer = optimizer(method)
    checkTogether(method)
    let data = data()
    let wasSound = entries.reader.log.issues.isEmpty
    // Selectors are checked although other keys are wrong, as long as there is a model to check them against.
    checkSelectors(method, sites)
    guard wasSound, let optimizer, let baseModel = text("base_model"), let outputDir = text("output_dir") else { return nil }
    var run = RunFile(
      path: path, baseModel: baseModel, fromScratch: bool("from_scratch"), initAdapter: text("init_adapter"), method: method,
      targetModules: targets("target_modules"), excludeModules: targets("exclude_modules"), layersToTransform: layers,
      data: data,
      optimizer: optimizer, epochs: int("epochs"), steps: int("steps"), batchSize: int("batch_size") ?? 1,
      gradientAccumulation: int("gradient_accumulation") ?? 1,
      activationCheckpointing: bool("activation_checkpointing"), clipGradNorm: number("clip_grad_norm"),
      seed: UInt64(int("seed") ?? 0), evalEvery: int("eval_every"), saveEvery: int("save_every"), outputDir: outputDir,
      samples: samples)
    run.task = task
    if case .list(let names)? = items["labels"]?.value { run.labels = names.map(\.text) }
    if case .list(let names)? = items["modules_to_save"]?.value { run.modulesToSave = names.map(\.text) }
    run.embedding.pooling = text("embedding.pooling").flatMap(RunFile.EmbeddingSettings.Pooling.init)
    run.embedding.scale = number("embedding.scale") ?? run.embedding.scale
    run.marks = marks
    return run
  }

  // MARK: Values

  var task: RunFile.Task { text("task").flatMap(RunFile.Task.init) ?? .causalLM }

  func text(_ key: String) -> String? {
    guard case .string(let text)? = items[key]?.value else { return nil }
    return text
  }

  func int(_ key: String) -> Int? {
    guard case .int(let int)? = items[key]?.value else { return nil }
    return int
  }

  func number(_ key: String) -> Double? { items[key]?.value.number }
  func bool(_ key: String) -> Bool { items[key]?.value == .bool(true) }

  private func targets(_ key: String) -> TargetSelector.Targets? {
    switch items[key]?.value {
    case .string(let text): TargetSelector(string: text).targets
    case .list(let names): .names(names.map(\.text))
    default: nil
    }
  }

  private var layers: [Int]? {
    guard case .list(let layers)? = items["layers_to_transform"]?.value else { return nil }
    return layers.compactMap { if case .int(let layer) = $0 { layer } else { nil } }
  }

  private var samples: RunFile.SampleSettings? {
    guard case .list(let prompts)? = items["samples.prompts"]?.value else { return nil }
    return RunFile.SampleSettings(
      prompts: prompts.map(\.text), maxNewTokens: int("samples.max_new_tokens") ?? 64,
      temperature: number("samples.temperature") ?? 0,
      topP: number("samples.top_p") ?? 1)
  }

  private var marks: RunFile.Marks {
    func marks(_ key: String) -> [Mark] { items[key].map { item in item.node.items?.map(\.mark) ?? [item.node.mark] } ?? [] }
    var result = RunFile.Marks()
    result.targets = marks("target_modules")
    result.exclude = marks("exclude_modules")
    result.layers = marks("layers_to_transform")
    result.method = node["method"]?.mark ?? node.mark
    result.keys = items.mapValues(\.node.mark)
    return result
  }

  /// The method with what the file says of tensors of the base in place of what it says itself.
  private func withBaseTensors(_ method: MethodEntry) -> MethodEntry {
    var method = method
    if case .list(let names)? = items["modules_to_save"]?.value { method.trainable.modules = names.map(\.text) }
    switch text("bias") {
    case "none": method.trainable.biases = .none
    case "lora_only": method.trainable.biases = .sites
    case "all": method.trainable.biases = .all
    default: break
    }
    return method
  }

  // MARK: Optimizer

  /// The run's optimizer: what the file says, over what the method proposes for an optimizer of that name.
  private mutating func optimizer(_ method: MethodEntry?) -> RunFile.OptimizerSettings? {
    let proposed = method?.optimizer
    let section = node["optimizer"]
    let mark = section?.mark ?? node.mark
    let name = text("optimizer.name") ?? proposed?.name ?? "adamw"
    let isProposed = proposed?.name == name
    let settings = Self.settings
    let own = (section?.entries ?? []).filter { !settings.contains($0.key.text ?? "") }
    let options = entries.optimizerOptions(
      name, own, "optimizer", old: isProposed ? proposed?.options ?? [:] : [:], known: settings,
      at: section?["name"]?.mark ?? mark, whole: mark)
    let isMethodKnown = node["method"] == nil || method != nil
    guard let rate = number("optimizer.lr") ?? (isProposed ? proposed?.learningRate : nil) else {
      // An `lr` that is wrong, or a method that is, has its message already.
      if section?["lr"] == nil, isMethodKnown {
        let reason = proposed.map { " (the method `\(method?.name ?? "")` proposes one for \($0.name) only)" } ?? ""
        let shown = proposed?.learningRate == nil || isProposed ? "" : reason
        entries.reader.log.add("`optimizer.lr` is missing: the peak learning rate\(shown)", at: mark)
      }
      return nil
    }
    guard let options else { return nil }
    let warmup = number("optimizer.warmup") ?? 0
    if warmup >= 1, warmup.rounded() != warmup, let at = items["optimizer.warmup"] {
      entries.reader.log.add(
        "`optimizer.warmup` is \(warmup), but must be a share below 1 or a whole number of steps", at: at.node.mark)
    }
    return RunFile.OptimizerSettings(
      name: name, lr: rate, options: options,
      schedule: text("optimizer.schedule").flatMap(RunFile.OptimizerSettings.Schedule.init) ?? .constant,
      warmup: warmup, minLRRatio: number("optimizer.min_lr_ratio") ?? 0)
  }

  private static let settings: [String] = RunSchema.keys.flatMap { spec -> [String] in
    guard spec.name == "optimizer", case .section(let keys) = spec.kind else { return [] }
    return keys.map(\.name)
  }

  // MARK: Keys together

  func isGiven(_ key: String) -> Bool { given(key) != nil }

  /// The node of a key that is there and not null.
  func given(_ key: String) -> YAMLNode? {
    let found = key.split(separator: ".").reduce(Optional(node)) { node, part in node?[String(part)] }
    return found.flatMap { $0.isNull ? nil : $0 }
  }

  private mutating func checkTogether(_ method: MethodEntry?) {
    exactlyOne("steps", "epochs", at: node.mark)
    checkData()
    checkTask()
    if isGiven("init_adapter") {
      for key in ["method", "target_modules", "exclude_modules", "layers_to_transform", "modules_to_save", "bias"] {
        if let node = given(key) {
          entries.reader.log.add("`\(key)` cannot stand beside `init_adapter`, which brings its own", at: node.mark)
        }
      }
      if bool("from_scratch"), let node = given("from_scratch") {
        entries.reader.log.add(
          "`from_scratch` cannot stand beside `init_adapter`, which belongs to trained weights", at: node.mark)
      }
    } else if !isGiven("method") {
      entries.reader.log.add("`method` is missing: give it, or `init_adapter` to go on from an adapter", at: node.mark)
    }
    if let method {
      if bool("from_scratch"), !method.trainable.base, let node = given("from_scratch") {
        entries.reader.log.add(
          "`from_scratch` needs a method that trains the base; `\(method.name)` would leave it as it was drawn", at: node.mark)
      }
      if !method.hasAdapter {
        for key in ["target_modules", "exclude_modules", "layers_to_transform", "modules_to_save", "bias"] {
          if let node = given(key) {
            entries.reader.log.add(
              "`\(key)` says nothing here: `\(method.name)` has no adapter, it trains the whole base", at: node.mark)
          }
        }
      }
    }
    if let layers = given("layers_to_transform"), case .pattern? = targets("target_modules") {
      entries.reader.log.add(
        "`layers_to_transform` works with lists and kinds; a regular expression says the layers itself", at: layers.mark)
    }
  }

  mutating func exactlyOne(_ a: String, _ b: String, at mark: Mark) {
    switch (given(a), given(b)) {
    case (nil, nil): entries.reader.log.add("one of `\(a)` and `\(b)` is needed", at: mark)
    case (let first?, let second?):
      let later = (first.mark.line, first.mark.column) > (second.mark.line, second.mark.column) ? first : second
      entries.reader.log.add("`\(a)` and `\(b)` exclude one another; give one", at: later.mark)
    default: break
    }
  }

  private mutating func checkSelectors(_ method: MethodEntry?, _ sites: RunFile.SiteSource?) {
    guard let sites, let model = text("base_model"), let item = items["base_model"], Folder.isFolder(model) else { return }
    let found: [Site]
    do { found = try sites(model, bool("from_scratch")) } catch {
      let kind = (error as? FileError).map { Issue.Kind($0.kind) } ?? .configuration
      entries.reader.log.add("base_model: \(error)", at: item.node.mark, kind: kind)
      return
    }
    guard method?.hasAdapter == true || (method == nil && targets("target_modules") != nil) else { return }
    if case .pattern? = targets("target_modules"), layers != nil { return }
    let selector = RunFile.selector(
      targets("target_modules"), exclude: targets("exclude_modules"), layers: layers, method: method)
    var faults: [TargetSelector.Fault] = []
    _ = selector?.select(from: found, faults: &faults)
    for fault in faults { entries.reader.log.add(fault.message, at: marks.place(of: fault)) }
  }
}
