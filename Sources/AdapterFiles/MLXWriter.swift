import Engine
import Files
import JSON
import Models
import PEFTKernel

/// Writes adapter directories of mlx-lm.
public enum MLXWriter {
  static func owns(_ name: String) -> Bool { [AdapterFolder.configName, MLXAdapter.weightsName].contains(name) }

  /// Writes `adapter` as LoRA, or as DoRA where it is one: exact, or with a bound on the rank the best approximation, as
  /// ``LoRAExport`` has it, whose report is given back.
  ///
  /// mlx-lm has one rank and one scale for all sites: smaller ranks are filled up with zeros, other scales go into b. Refuses
  /// biases and tensors of the base, which it has no place for.
  @discardableResult
  public static func write(
    _ adapter: Adapter, of model: any Model, rank: Int? = nil, existing: AtomicDirectory.Existing = .refuse,
    inputs: [String] = [], to folder: String
  ) throws -> LoRAConversion.Report? {
    let inputs = inputs + [model.directory.path]
    try PlainLoRA.checkMLX(model)
    try AtomicDirectory.check(folder, existing: existing, owns: owns, inputs: inputs)
    var report: LoRAConversion.Report?
    let lora = try PlainLoRA(adapter, of: model, rank: rank, format: .mlx, report: &report)
    let rank = lora.parts.map(\.down.rows).max() ?? 1
    let scale = lora.parts.map(\.scale).first { $0 != 0 } ?? 1
    var tensors: [SafetensorsWriter.Tensor] = []
    for part in lora.parts {
      let path = MLXAdapter.path(of: part.site.id)
      let up = part.scale == scale ? part.up : part.up.converted(to: .float64) * (part.scale / scale)
      var named = [("lora_a", part.down.padded(rows: rank).transposed), ("lora_b", up.transposed.padded(rows: rank))]
      if let magnitude = part.magnitude { named.append(("m", magnitude)) }
      for (name, tensor) in named {
        tensors.append(.init(name: "\(path).\(name)", shape: tensor.shape, floats: try tensor.storable("\(path).\(name)")))
      }
    }
    let directory = try AtomicDirectory(folder, existing: existing, owns: owns, inputs: inputs)
    try SafetensorsWriter.write(
      tensors, metadata: ["format": "mlx"], to: Folder.join(directory.partial, MLXAdapter.weightsName))
    try WholeFile.write(
      config(lora, model, rank: rank, scale: scale).sorted.text(indented: true) + "\n",
      to: Folder.join(directory.partial, AdapterFolder.configName))
    try directory.commit()
    return report
  }

  private static func config(_ lora: PlainLoRA, _ model: any Model, rank: Int, scale: Double) -> JSON {
    let blocks = (model.sites.compactMap(\.layer).max() ?? -1) + 1
    let first = lora.parts.compactMap(\.site.layer).min() ?? 0
    return [
      "fine_tune_type": .string(lora.parts.contains { $0.magnitude != nil } ? "dora" : "lora"),
      "model": .string(model.directory.path), "num_layers": .int(max(blocks - first, 1)),
      "lora_parameters": [
        "rank": .int(rank), "scale": .double(scale), "dropout": 0.0,
        "keys": .array(keys(lora.parts.map(\.site), model, from: first).map(JSON.string)),
      ],
    ]
  }

  /// Names within a block where every block from the first on has the same sites; else whole paths.
  private static func keys(_ sites: [Site], _ model: any Model, from first: Int) -> [String] {
    var byLayer: [Int: Set<String>] = [:]
    var others: [String] = []
    for site in sites {
      let path = MLXAdapter.path(of: site.id)
      guard let layer = site.layer, let inner = MLXAdapter.inBlock(path, layer) else {
        others.append(path)
        continue
      }
      byLayer[layer, default: []].insert(inner)
    }
    let layers = Set(model.sites.compactMap(\.layer)).filter { $0 >= first }
    guard let names = byLayer[first], layers.allSatisfy({ byLayer[$0] == names }) else {
      return sites.map { MLXAdapter.path(of: $0.id) }.sorted()
    }
    return names.sorted() + others
  }
}

extension Tensor {
  /// With rows of zeros below.
  fileprivate func padded(rows count: Int) -> Tensor {
    count == rows ? self : .joinedRows([self, .zeros([count - rows, columns], scalar)])
  }
}
