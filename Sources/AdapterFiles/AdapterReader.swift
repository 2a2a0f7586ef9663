import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry

/// Reads adapters: directories of this project, of Hugging Face PEFT and of mlx-lm, and GGUF files of llama.cpp.
public enum AdapterReader {
  /// What may be wrong with files of other programs and is only told.
  public struct Tolerance: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// Sites without their tensors: no adapter stands there.
    public static let missing = Tolerance(rawValue: 1)
    /// Tensors that belong nowhere.
    public static let extra = Tolerance(rawValue: 2)
  }

  /// The adapter in `path` for `model`; which program's it is, its contents say.
  ///
  /// A directory of this project says in full what it holds; one of PEFT's is understood by its `peft_type` and fields. F16
  /// and BF16 are widened. Refuses, naming tensor or field: fields that change the forward and are not served, tensors that
  /// are missing, unexpected (unless `tolerance` allows for them), of another shape or not finite, and another base than the
  /// adapter was trained on.
  public static func read(
    _ path: String, for model: any Model, registry: MethodRegistry, allowing tolerance: Tolerance = []
  ) throws -> StoredAdapter {
    switch try AdapterFormat(of: path) {
    case .peft: return try readPEFT(path, for: model, registry: registry, allowing: tolerance)
    case .mlx: return try MLXAdapter(path).adapter(for: model, registry: registry)
    case .gguf: return try GGUFAdapter(path).adapter(for: model, registry: registry)
    }
  }

  private static func readPEFT(
    _ folder: String, for model: any Model, registry: MethodRegistry, allowing tolerance: Tolerance
  ) throws -> StoredAdapter {
    let folder = try AdapterFolder(folder)
    let metadata = try AdapterMetadata(folder.weights)
    var notes: [String] = []
    let entry: MethodEntry
    var sites: [Site]
    var said: Dialect?
    var rebuildsBase = false
    var tokens: PEFTTokenRows?
    let record = try AdapterRecord(folder.config, path: folder.configPath)
    try AdapterHead(folder, record).check(model, folder, &notes)
    if let record {
      try record.check(folder.weights)
      entry = try registry.entry(from: record.entry, place: folder.configPath)
      sites = try recorded(record, model, folder)
    } else {
      let found = try PEFTImport(folder, model, registry)
      (entry, sites) = (found.entry, found.sites)
      notes += found.notes
      said = found.dialect.said
      rebuildsBase = found.rebuildsBase
      tokens = found.tokens
    }
    try checkBase(record?.baseDigest ?? metadata.baseDigest, model, folder, &notes)

    let assembly = try registry.assemble(entry)
    var layout = try told(folder) { () throws(Refusal) in
      try Adapter.checkTables(assembly, sites)
      return try assembly.projection.layout(of: sites)
    }
    if record == nil, tolerance.contains(.missing) {
      sites = try present(sites, layout, AdapterNames(sites, of: model), folder.weights, &notes)
      let left = sites
      layout = try told(folder) { () throws(Refusal) in try assembly.projection.layout(of: left) }
    }
    try metadata.check(assembly.projection, sites, path: folder.configPath)
    let subset = entry.trainable
    let places = sites
    let names = try told(folder) { () throws(Refusal) in try model.trainedNames(subset, at: places) }
    let spelled = AdapterNames(places, of: model)
    let trained = names.compactMap { name -> TrainedTensor? in
      guard let tokens else {
        return TrainedTensor(name: name, names: spelled.all(trained: name), shape: model.shape(of: name) ?? [])
      }
      return tokens.part(name, model, spelled, in: folder.weights)
    }
    let copies = try BaseCopies.names(in: folder.weights, of: model, besides: names)
    if !copies.isEmpty { notes.append("passed over \(AdapterNames.listed(copies)): the base's own weights") }
    let bases = Bases { model.base($0) }
    let specs = layout
    let derived = try told(folder) { () throws(Refusal) in try derivedAgain(specs, places, assembly.projection, bases) }
    try check(derived, layout, record, folder)
    let tensors = try AdapterTensors(
      folder.weights, layout, spelled, hasOffset: record?.hasOffset ?? false, said, copies: Set(copies), derived: derived,
      trained: trained, ignoresExtra: record == nil && tolerance.contains(.extra))
    if tolerance.contains(.extra), tensors.redundant.count > copies.count {
      notes.append("passed over \(AdapterNames.listed(tensors.redundant.filter { !copies.contains($0) })), which belong nowhere")
    }
    if let made = tensors.made { notes.append("\(made) tensors are not in the file and were made again") }
    let offset = rebuildsBase ? try rebuilt(assembly, specs, places, bases, folder) : tensors.offset
    var adapter = try told(folder) { () throws(Refusal) in
      try Adapter(assembly, sites: places, layout: specs, tensors: tensors.values, offset: offset, on: bases)
    }
    adapter.trained = model.standing(names, tokens?.whole(tensors.trained, model) ?? tensors.trained)
    if let record {
      // With another head than it was written for, modules have other paths.
      let isSameHead = (record.labels == nil) == (model.classes == nil)
      try PEFTAgreement.check(
        folder.config, with: PEFTConfig(adapter, entry, registry, model), registry, pathsAgree: isSameHead,
        path: folder.configPath)
    }
    // Rows that became a table are written as one.
    let keeps = tokens?.rows.isEmpty != false
    let origin = AdapterOrigin(
      config: folder.config, names: tensors.names, source: folder.weights, redundant: tensors.redundant)
    return StoredAdapter(adapter: adapter, entry: entry, notes: notes, origin: keeps ? origin : nil)
  }

  /// What the start takes away from the base: found from the weights again, as whoever wrote the files found it.
  private static func rebuilt(
    _ assembly: Assembly, _ layout: [TensorSpec], _ sites: [Site], _ bases: Bases, _ folder: AdapterFolder
  ) throws(FileError) -> Tensors? {
    try told(folder) { () throws(Refusal) in
      try assembly.initialization.check(layout, sites, assembly.projection)
      var evidence = Evidence { bases[$0].weight(as: .float32) }
      return try assembly.start(layout, sites, on: bases, &evidence, Moment()).offset
    }
  }

  /// The sites whose tensors are all in the file.
  private static func present(
    _ sites: [Site], _ layout: [TensorSpec], _ spelled: AdapterNames, _ weights: SafetensorsFile, _ notes: inout [String]
  ) throws(FileError) -> [Site] {
    let wanted = layout.filter { !$0.isMade }
    let (found, _) = try KnownTensors(wanted.map { spelled.all($0.key) }).matched(weights.tensors.map(\.name), path: weights.path)
    let absent = Set(wanted.filter { found[spelled.canonical($0.key)] == nil }.map(\.key.scope))
    let bare = sites.filter { absent.contains(.site($0.id)) }
    if !bare.isEmpty {
      notes.append("the file lacks tensors of \(AdapterNames.listed(bare.map(\.id.path))): no adapter stands there")
    }
    return sites.filter { !absent.contains(.site($0.id)) }
  }

  /// The tensors that files leave out because they follow from the base.
  private static func derivedAgain(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ bases: Bases
  ) throws(Refusal) -> Tensors {
    var derived = Tensors()
    for site in sites {
      let own = layout.filter { $0.key.scope == .site(site.id) }
      guard own.contains(where: { $0.keep == .derived }) else { continue }
      derived.values.merge(try projection.derive(own, at: site, on: bases[site.id]).values) { $1 }
    }
    return derived
  }

  private static func check(
    _ derived: Tensors, _ layout: [TensorSpec], _ record: AdapterRecord?, _ folder: AdapterFolder
  ) throws(FileError) {
    // What others wrote has no sketches; what we wrote has one of every tensor it left out.
    guard let record else { return }
    for key in layout.filter({ $0.keep == .derived }).map(\.key).sorted(by: { $0.description < $1.description }) {
      guard let tensor = derived.values[key] else { continue }
      guard let written = record.derived[AdapterNames.plain(key)] else {
        throw FileError(
          .badData, folder.configPath, "holds no sketch of \(key), by which the base could be told from another",
          cause: "the tensor is not in the file, and is derived from the base again",
          remedy: "write the adapter again, or with the tensor in the file")
      }
      guard !written.agrees(with: DerivedSketch(tensor), energy: tensor.sumOfSquares) else { continue }
      throw FileError(
        .badData, folder.path, "\(key), derived from the base again, is not what the adapter was trained with",
        cause: "another base, or a decomposition whose directions are not determined by it",
        remedy: "give the base it was trained on; where it is the same, train with the tensors stored in the file")
    }
  }

  private static func recorded(
    _ record: AdapterRecord, _ model: any Model, _ folder: AdapterFolder
  ) throws(FileError) -> [Site] {
    let known = Dictionary(model.adaptable.map { ($0.id.path, $0) }) { first, _ in first }
    let absent = record.sites.filter { known[$0] == nil }
    guard absent.isEmpty else {
      throw FileError(
        .badData, folder.configPath, "the adapter stands at \(AdapterNames.listed(absent)), which this model does not have",
        cause: "the model is a \(model.modelType) with \(model.sites.count) sites", remedy: "give the base it was trained on")
    }
    return record.sites.compactMap { known[$0] }
  }

  private static func checkBase(
    _ trained: String?, _ model: any Model, _ folder: AdapterFolder, _ notes: inout [String]
  ) throws(FileError) {
    guard !model.directory.tensorNames.isEmpty else { return }
    guard let trained else {
      notes.append("the files carry no fingerprint of the base: names and shapes were checked, its weights were not")
      return
    }
    let given = try model.directory.digest()
    guard given == trained else {
      throw FileError(
        .badData, folder.path, "the adapter was trained on another base than \(model.directory.path)",
        cause: "fingerprint \(trained.prefix(12))…, not \(given.prefix(12))…", remedy: "give the base it was trained on")
    }
  }

  private static func told<Value>(_ folder: AdapterFolder, _ body: () throws(Refusal) -> Value) throws(FileError) -> Value {
    do throws(Refusal) { return try body() } catch {
      throw FileError(.badData, folder.path, error.reason, remedy: error.remedy.isEmpty ? nil : error.remedy)
    }
  }
}
