import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry

/// Reads adapter directories: this project's own, and those of Hugging Face PEFT.
public enum AdapterReader {
  /// The adapter in `folder` for `model`.
  ///
  /// A directory of this project says in full what it holds; one of PEFT's is understood by its `peft_type` and fields. F16
  /// and BF16 are widened. Refuses, naming tensor or field: fields that change the forward and are not served, tensors that
  /// are missing, unexpected, of another shape or not finite, and another base than the adapter was trained on.
  public static func read(
    _ folder: String, for model: any LanguageModel, registry: MethodRegistry
  ) throws -> StoredAdapter {
    let folder = try AdapterFolder(folder)
    let metadata = try AdapterMetadata(folder.weights)
    var notes: [String] = []
    let entry: MethodEntry
    let sites: [Site]
    var said: Dialect?
    let record = try AdapterRecord(folder.config, path: folder.configPath)
    if let record {
      try record.check(folder.weights)
      entry = try registry.entry(from: record.entry, place: folder.configPath)
      sites = try recorded(record, model, folder)
    } else {
      let found = try PEFTImport(folder, model, registry)
      (entry, sites) = (found.entry, found.sites)
      notes = found.notes
      said = found.dialect.said
    }
    try checkBase(record?.baseDigest ?? metadata.baseDigest, model, folder, &notes)

    let assembly = try registry.assemble(entry)
    let layout = try told(folder) { () throws(Refusal) in try assembly.projection.layout(of: sites) }
    try metadata.check(assembly.projection, sites, path: folder.configPath)
    let copies = try BaseCopies.names(in: folder.weights, of: model)
    if !copies.isEmpty { notes.append("passed over \(AdapterNames.listed(copies)): the base's own weights") }
    let bases = Bases { model.base($0) }
    let derived = try told(folder) { () throws(Refusal) in try derivedAgain(layout, sites, assembly.projection, bases) }
    try check(derived, layout, record, folder)
    let tensors = try AdapterTensors(
      folder.weights, layout, hasOffset: record?.hasOffset ?? false, said, copies: Set(copies), derived: derived)
    if let made = tensors.made { notes.append("\(made) tensors are not in the file and were made again") }
    let adapter = try told(folder) { () throws(Refusal) in
      try Adapter(assembly, sites: sites, layout: layout, tensors: tensors.values, offset: tensors.offset, on: bases)
    }
    if record != nil {
      try PEFTAgreement.check(folder.config, with: PEFTConfig(adapter, entry, registry, model), registry, path: folder.configPath)
    }
    return StoredAdapter(
      adapter: adapter, entry: entry, notes: notes,
      origin: AdapterOrigin(
        config: folder.config, names: tensors.names, source: folder.weights, redundant: tensors.redundant))
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
      guard let written = record.derived[AdapterNames.canonical(key)] else {
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
    _ record: AdapterRecord, _ model: any LanguageModel, _ folder: AdapterFolder
  ) throws(FileError) -> [Site] {
    let known = Dictionary(model.sites.map { ($0.id.path, $0) }) { first, _ in first }
    let absent = record.sites.filter { known[$0] == nil }
    guard absent.isEmpty else {
      throw FileError(
        .badData, folder.configPath, "the adapter stands at \(AdapterNames.listed(absent)), which this model does not have",
        cause: "the model is a \(model.modelType) with \(model.sites.count) sites", remedy: "give the base it was trained on")
    }
    return record.sites.compactMap { known[$0] }
  }

  private static func checkBase(
    _ trained: String?, _ model: any LanguageModel, _ folder: AdapterFolder, _ notes: inout [String]
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
