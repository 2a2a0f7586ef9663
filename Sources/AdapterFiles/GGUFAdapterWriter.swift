import Engine
import Files
import Models
import PEFTKernel

/// Writes LoRA files for llama.cpp.
public enum GGUFAdapterWriter {
  /// Writes `adapter` as LoRA factors in F32: exact, or with a bound on the rank the best approximation, as ``LoRAExport`` has it,
  /// whose report is given back.
  ///
  /// The file has one alpha: where sites have others, their B takes the difference. Rows of B are in the order that llama.cpp has
  /// weights in. Refuses by name what it cannot say (biases, tensors of the base, DoRA's lengths) and sites and families without a
  /// name there. A file that exists is replaced only with `overwrites`, and never one of `inputs`.
  @discardableResult
  public static func write(
    _ adapter: Adapter, of model: any Model, rank: Int? = nil, overwrites: Bool = false, inputs: [String] = [],
    to path: String
  ) throws -> LoRAConversion.Report? {
    try check(path, overwrites: overwrites, inputs: inputs)
    let names = try GGUFNames(model)
    var report: LoRAConversion.Report?
    let lora = try PlainLoRA(adapter, of: model, rank: rank, format: .gguf, report: &report)
    let alphas = lora.parts.map { Float($0.scale * Double($0.down.rows)) }
    // An alpha of 0 means no scale at all there.
    let alpha = alphas.first { $0 != 0 && $0.isFinite } ?? 1
    var tensors: [GGUFWriter.Tensor] = []
    for part in lora.parts {
      let weight = try names.weight(of: part.site, in: model)
      let rank = part.down.rows
      let own = part.scale * Double(rank)
      var up = own == Double(alpha) ? part.up : part.up.converted(to: .float64) * (own / Double(alpha))
      if let order = names.order(of: part.site) {
        var sources = [Int32](repeating: 0, count: order.count)
        for (row, place) in order.enumerated() { sources[place] = Int32(row) }
        up = up.gatherRows(sources)
      }
      let isTable = part.site.kind == .embedding
      let down = isTable ? part.down.transposed : part.down
      let extents = isTable ? [rank, part.site.inputs] : [part.site.inputs, rank]
      tensors.append(.init(name: weight + ".lora_a", extents: extents, floats: try down.storable(weight)))
      tensors.append(.init(name: weight + ".lora_b", extents: [rank, part.site.outputs], floats: try up.storable(weight)))
    }
    try GGUFWriter.write(
      [
        ("general.architecture", .string(names.architecture)), ("general.type", .string("adapter")),
        ("adapter.type", .string("lora")), ("adapter.lora.alpha", .float32(alpha)),
      ], tensors, to: path)
    return report
  }

  private static func check(_ path: String, overwrites: Bool, inputs: [String]) throws(FileError) {
    guard Folder.exists(path) else { return }
    guard Folder.isFile(path), overwrites, GGUFFile.isGGUF(path) else {
      throw FileError(
        .cannotCreate, path, Folder.isFolder(path) ? "is a folder" : "exists already",
        remedy: overwrites ? "only a GGUF file is replaced: write to another name" : "write to another name, or overwrite it")
    }
    let target = Folder.real(path)
    guard !inputs.contains(where: { Folder.real($0) == target }) else {
      throw FileError(.cannotCreate, path, "is an input and is not replaced", remedy: "write to another file")
    }
  }
}
