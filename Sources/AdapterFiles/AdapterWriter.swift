import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry

/// Writes adapter directories in the layout of Hugging Face PEFT.
public enum AdapterWriter {
  /// Writes `adapter_config.json` and `adapter_model.safetensors` (F32), the directory whole or not at all.
  ///
  /// Methods that PEFT has get its fields and `peft_type`, so that it loads them; others a `peft_type` it refuses. Beside
  /// the fields stands what rebuilds the adapter here. With `origin`, what was read is written back: same names, same
  /// fields, new values. `base` is the directory of the base where that is not the model's own: one that was trained along.
  /// The base, the folder of `origin` and `inputs` are never replaced.
  public static func write(
    _ adapter: Adapter, entry: MethodEntry, registry: MethodRegistry, model: any Model,
    origin: AdapterOrigin? = nil, base: ModelDirectory? = nil, existing: AtomicDirectory.Existing = .refuse,
    inputs: [String] = [], to folder: String
  ) throws {
    guard !adapter.layout.isEmpty else {
      throw Refusal("method \(entry.name) has no adapter to write", remedy: "write the model instead")
    }
    let names = try model.trainedNames(entry.trainable, at: adapter.sites)
    if base == nil { try checkDrawn(model, names) }
    let spelled = AdapterNames(adapter.sites, of: model)
    let tensors = try stored(adapter, spelled, origin, folder) + trained(names, adapter, spelled, origin, folder)
    let directory = base ?? model.directory
    let baseDigest = directory.tensorNames.isEmpty ? nil : try directory.digest()
    let hasRecord = origin == nil || origin?.config[AdapterRecord.key] != nil
    var config = origin?.config.members ?? PEFTConfig(adapter, entry, registry, model).members
    if let base {
      config.removeAll { $0.key == PEFTConfig.baseKey }
      config.append(.init(PEFTConfig.baseKey, .string(base.path)))
    }
    if hasRecord {
      config.removeAll { $0.key == AdapterRecord.key }
      var record = AdapterRecord(
        entry: registry.json(of: entry), baseDigest: baseDigest, sites: adapter.sites.map(\.id.path),
        hasOffset: adapter.offset != nil, tensors: [:])
      for spec in adapter.layout where spec.keep == .derived {
        record.derived[AdapterNames.plain(spec.key)] = DerivedSketch(adapter.tensors[spec.key])
      }
      record.labels = model.classes
      for tensor in tensors { record.tensors[tensor.name] = .init(shape: tensor.shape, sha256: try digest(of: tensor)) }
      config.append(.init(AdapterRecord.key, record.json))
    }
    let projection = adapter.parameterization.projection
    let scales = Dictionary(adapter.sites.map { ($0.id.path, projection.scale(at: $0)) }) { first, _ in first }
    try files(
      config: .object(config), tensors, metadata: AdapterMetadata(scales: scales, baseDigest: baseDigest), existing: existing,
      inputs: inputs + Self.inputs(model, origin), to: folder)
  }

  /// Refuses an adapter without what was drawn for its model, as no other start of the program would draw it again.
  static func checkDrawn(_ model: any Model, _ names: [String]) throws(Refusal) {
    guard !model.drawnModules.isEmpty, let name = model.freshParameters.first(where: { !names.contains($0) }) else { return }
    throw Refusal(
      "\(name) was drawn for a new head and is not among the adapter's tensors",
      remedy: "train it with the adapter: modules_to_save: [\(model.drawnModules.joined(separator: ", "))]")
  }

  /// Refuses a folder that ``write(_:entry:registry:model:origin:base:existing:inputs:to:)`` would not replace.
  public static func check(
    _ folder: String, model: any Model, origin: AdapterOrigin?, existing: AtomicDirectory.Existing,
    inputs: [String] = []
  ) throws(FileError) {
    try AtomicDirectory.check(
      folder, existing: existing, owns: AdapterFolder.owns, inputs: inputs + Self.inputs(model, origin))
  }

  private static func inputs(_ model: any Model, _ origin: AdapterOrigin?) -> [String] {
    [model.directory.path] + (origin.map { [Folder.split($0.source.path).folder] } ?? [])
  }

  /// The two files, named final when both are whole.
  static func files(
    config: JSON, _ tensors: [SafetensorsWriter.Tensor], metadata: AdapterMetadata, existing: AtomicDirectory.Existing,
    inputs: [String], to folder: String
  ) throws(FileError) {
    let directory = try AtomicDirectory(folder, existing: existing, owns: AdapterFolder.owns, inputs: inputs)
    try SafetensorsWriter.write(
      tensors, metadata: metadata.pairs, to: Folder.join(directory.partial, AdapterFolder.weightsName))
    try WholeFile.write(
      config.sorted.text(indented: true) + "\n", to: Folder.join(directory.partial, AdapterFolder.configName))
    try directory.commit()
  }

  private static func stored(
    _ adapter: Adapter, _ spelled: AdapterNames, _ origin: AdapterOrigin?, _ folder: String
  ) throws(FileError) -> [SafetensorsWriter.Tensor] {
    var tensors: [SafetensorsWriter.Tensor] = origin?.copies ?? []
    func add(_ tensor: Tensor, _ role: Role, _ canonical: String) throws(FileError) {
      let name = origin?.names[canonical] ?? canonical
      let whole = try written(tensor, as: name, folder)
      tensors.append(role == .index ? .init(name: name, shape: tensor.shape, ints: tensor.floats.map { Int($0) }) : whole)
    }
    for spec in adapter.layout {
      let name = spelled.canonical(spec.key)
      if spec.isMade, origin?.names[name] == nil { continue }
      try add(adapter.tensors[spec.key], spec.role, name)
      guard let offset = adapter.offset, spec.keep == .stored, let start = offset.values[spec.key] else { continue }
      // Where it was found from the base, whoever reads these files finds it again.
      let place = spelled.offset(spec.key)
      if let origin, origin.names[place] == nil { continue }
      try add(start, spec.role, place)
    }
    return tensors
  }

  /// Tensors of the base that belong to the adapter.
  private static func trained(
    _ names: [String], _ adapter: Adapter, _ spelled: AdapterNames, _ origin: AdapterOrigin?, _ folder: String
  ) throws(FileError) -> [SafetensorsWriter.Tensor] {
    var tensors: [SafetensorsWriter.Tensor] = []
    for name in names {
      guard let tensor = adapter.trained[name] else { continue }
      let canonical = spelled.trained(name)
      tensors.append(try written(tensor, as: origin?.names[canonical] ?? canonical, folder))
    }
    return tensors
  }

  private static func written(_ tensor: Tensor, as name: String, _ folder: String) throws(FileError) -> SafetensorsWriter.Tensor {
    let values = tensor.floats
    guard values.allSatisfy(\.isFinite) else {
      throw FileError(
        .badData, folder, "tensor '\(name)' is not finite and is not written", remedy: "lower the learning rate and run again")
    }
    return .init(name: name, shape: tensor.shape, floats: values)
  }

  private static func digest(of tensor: SafetensorsWriter.Tensor) throws(FileError) -> String {
    var hash = SHA256()
    try tensor.content { (bytes) throws(FileError) in hash.update(bytes) }
    return hash.hex
  }
}
