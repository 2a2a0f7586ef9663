import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry

/// An adapter directory of mlx-lm, opened: `adapter_config.json`, a dump of what it was trained with, and `adapters.safetensors`.
struct MLXAdapter {
  static let weightsName = "adapters.safetensors"

  private let config: JSON
  private let configPath: String
  private let weights: SafetensorsFile

  init(_ folder: String) throws(FileError) {
    configPath = Folder.join(folder, AdapterFolder.configName)
    config = try TextFile.readJSON(configPath, maximumBytes: 1 << 24)
    let path = Folder.join(folder, Self.weightsName)
    guard Folder.isFile(path) else {
      throw FileError(
        .missing, folder, "has no \(Self.weightsName)", cause: "its \(AdapterFolder.configName) is of mlx-lm",
        remedy: "copy it beside \(AdapterFolder.configName); checkpoints are called 0000100_\(Self.weightsName), say")
    }
    weights = try SafetensorsFile(path)
  }

  private func fault(_ what: String, _ remedy: String? = nil) -> FileError {
    FileError(.badData, configPath, what, remedy: remedy)
  }

  /// The adapter, y += scale·(x·a)·b at every site that has tensors. Refuses what mlx-lm would refuse: tensors that its config does
  /// not call for, or of other shapes.
  func adapter(for model: any Model, registry: MethodRegistry) throws -> StoredAdapter {
    do throws(Refusal) { try PlainLoRA.checkMLX(model) } catch { throw fault(error.reason, error.remedy) }
    let type = config["fine_tune_type"] ?? "lora"
    guard type != "full" else {
      throw fault("fine_tune_type: 'full' files hold whole weights and no adapter", "use them as a model")
    }
    guard type == "lora" || type == "dora" else { throw fault("fine_tune_type: is \(type.text())", "known: lora, dora") }
    guard let parameters = config["lora_parameters"], parameters.members != nil else { throw fault("has no lora_parameters") }
    guard let rank = parameters["rank"]?.int, rank >= 1 else { throw fault("lora_parameters: has no rank of at least 1") }
    guard let scale = parameters["scale"]?.double, scale.isFinite else {
      throw fault(
        "lora_parameters: has no scale", parameters["alpha"] == nil ? nil : "mlx-lm has no alpha: scale is the multiplier itself")
    }
    let dropout = parameters["dropout"]?.double ?? 0
    guard (0..<1).contains(dropout) else { throw fault("lora_parameters: dropout is \(dropout)") }
    let chosen = try chosen(model, parameters)
    var lora = PlainLoRA(path: weights.path, parts: [], dropout: dropout)
    lora.notes.append("mlx-lm's files carry no fingerprint of the base: names and shapes were checked, its weights were not")
    var used: Set<String> = []
    for site in model.adaptable {
      let path = Self.path(of: site.id)
      let names = ["lora_a", "lora_b"] + (type == "dora" ? ["m"] : [])
      let own = names.map { "\(path).\($0)" }
      let present = own.filter { weights.entry($0) != nil }
      guard !present.isEmpty else { continue }
      guard present == own else {
        throw FileError(
          .badData, weights.path, "lacks '\(own.first { !present.contains($0) } ?? "")'", cause: "it holds '\(present[0])'")
      }
      if site.kind == .embedding, model.sharedHead != nil {
        throw FileError(
          .badData, weights.path, "'\(own[0])' adapts the head as well in mlx-lm: it is the same table",
          remedy: "fuse the adapter in mlx-lm")
      }
      guard chosen(site, path) else {
        throw FileError(
          .badData, weights.path, "has no place for \(AdapterNames.listed(own))",
          cause: "num_layers and keys of the config do not choose it", remedy: "check that config and tensors belong together")
      }
      used.formUnion(own)
      lora.parts.append(
        PlainLoRA.Part(
          site: site, down: try tensor(own[0], [site.inputs, rank]).transposed,
          up: try tensor(own[1], [rank, site.outputs]).transposed,
          scale: scale, magnitude: type == "dora" ? try tensor(own[2], [site.outputs]) : nil))
    }
    let extra = weights.tensors.map(\.name).filter { !used.contains($0) }
    guard extra.isEmpty else {
      throw FileError(
        .badData, weights.path, "has no place for \(AdapterNames.listed(extra))",
        cause: "this \(model.modelType) model has no such linear maps",
        remedy: "check that the adapter belongs to this base")
    }
    return try lora.adapter(for: model, registry: registry)
  }

  /// Whether the config means a site: in the last `num_layers` blocks (none or fewer for all), by names within a block or from the root.
  private func chosen(_ model: any Model, _ parameters: JSON) throws(FileError) -> (Site, String) -> Bool {
    var keys: Set<String>?
    if let given = parameters["keys"], !given.isNull {
      guard let names = given.array?.map(\.string), !names.contains(nil) else {
        throw fault("lora_parameters: keys is no list of names")
      }
      keys = Set(names.compactMap { $0 })
    }
    let blocks = (model.sites.compactMap(\.layer).max() ?? -1) + 1
    var first = 0
    if let given = config["num_layers"] {
      guard let count = given.int else { throw fault("num_layers: is \(given.text())") }
      if count > 0 { first = max(0, blocks - count) }
    }
    return { [keys, first] site, path in
      if keys?.contains(path) == true { return true }
      guard let layer = site.layer, layer >= first else { return false }
      guard let keys, let inner = Self.inBlock(path, layer) else { return keys == nil }
      return keys.contains(inner)
    }
  }

  private func tensor(_ name: String, _ shape: [Int]) throws(FileError) -> Tensor {
    guard let entry = weights.entry(name), entry.shape == shape, !entry.dtype.isInteger else {
      throw FileError(
        .badData, weights.path, "tensor '\(printable(name))' has shape \(weights.entry(name)?.shape ?? [])",
        cause: "config and base call for \(shape)", remedy: "check the rank, and that the adapter belongs to this base")
    }
    let floats = try weights.floats(of: name)
    guard floats.allSatisfy(\.isFinite) else {
      throw FileError(
        .badData, weights.path, "tensor '\(printable(name))' is not finite",
        remedy: "use a checkpoint from before the run diverged")
    }
    return Tensor(floats, shape: shape)
  }

  /// What mlx-lm calls a module: its models have one name for the transformer.
  static func path(of site: SiteID) -> String {
    site.path.hasPrefix("transformer.") ? "model." + site.path.dropFirst("transformer.".count) : site.path
  }

  /// The part of a path behind its block's number.
  static func inBlock(_ path: String, _ layer: Int) -> String? {
    path.range(of: ".\(layer).").map { String(path[$0.upperBound...]) }
  }
}

extension String {
  /// The first place of a text in it.
  fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
