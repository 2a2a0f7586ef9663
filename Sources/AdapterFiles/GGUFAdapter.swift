import Engine
import Files
import Models
import PEFTKernel
import Registry

/// A LoRA file of llama.cpp.
struct GGUFAdapter {
  private let file: GGUFFile

  init(_ path: String) throws(FileError) { file = try GGUFFile(path) }

  private func fault(_ what: String, cause: String? = nil, _ remedy: String? = nil) -> FileError {
    FileError(.badData, file.path, what, cause: cause, remedy: remedy)
  }

  /// The adapter, y += alpha/rank·(x·Aᵀ)·Bᵀ; an alpha of 0 stands for the rank. Refuses what llama.cpp refuses, and what it passes over.
  func adapter(for model: any Model, registry: MethodRegistry) throws -> StoredAdapter {
    let names: GGUFNames
    do throws(Refusal) { names = try GGUFNames(model) } catch { throw fault(error.reason, error.remedy) }
    for (key, wanted) in [("general.type", "adapter"), ("adapter.type", "lora"), ("general.architecture", names.architecture)] {
      let given = file.metadata[key]?.text
      guard given == wanted else {
        throw fault(
          "\(key): is \(given.map { "'\(printable($0))'" } ?? "missing"), not '\(wanted)'",
          key == "general.architecture" ? "give the base it was trained on" : "give a LoRA file of llama.cpp")
      }
    }
    if file.metadata["adapter.alora.invocation_tokens"] != nil {
      throw fault("adapter.alora.invocation_tokens: adapters that begin at a token are not supported")
    }
    let alpha = file.metadata["adapter.lora.alpha"] ?? .float32(0)
    guard let alpha = alpha.number, alpha.isFinite else { throw fault("adapter.lora.alpha: is no number") }
    var lora = PlainLoRA(path: file.path, parts: [])
    lora.notes.append("GGUF carries no fingerprint of the base: names and shapes were checked, its weights were not")
    var rest = Dictionary(file.tensors.map { ($0.name, $0) }) { first, _ in first }
    for site in model.adaptable {
      guard let weight = try? names.weight(of: site, in: model) else { continue }
      let (down, up) = (rest.removeValue(forKey: weight + ".lora_a"), rest.removeValue(forKey: weight + ".lora_b"))
      guard down != nil || up != nil else { continue }
      guard let down, let up else {
        throw fault("lacks '\(weight)\(down == nil ? ".lora_a" : ".lora_b")'", cause: "the other is there")
      }
      let rank = up.extents[0]
      // Of a table, A stands there row by row of the table.
      let isTable = site.kind == .embedding
      let a = isTable ? try matrix(down, [site.inputs, rank]).transposed : try matrix(down, [rank, site.inputs])
      var b = try matrix(up, [site.outputs, rank])
      if let order = names.order(of: site) { b = b.gatherRows(order.map { Int32($0) }) }
      lora.parts.append(.init(site: site, down: a, up: b, scale: alpha == 0 ? 1 : alpha / Double(rank)))
    }
    guard rest.isEmpty else {
      throw fault(
        "has no place for \(AdapterNames.listed(rest.keys.sorted()))",
        cause: "this \(model.modelType) model has no such linear maps",
        "check that the adapter belongs to this base")
    }
    return try lora.adapter(for: model, registry: registry)
  }

  /// A tensor as a matrix of that shape.
  private func matrix(_ tensor: GGUFTensor, _ shape: [Int]) throws(FileError) -> Tensor {
    guard Array(tensor.extents.reversed()) == shape else {
      throw fault(
        "tensor '\(printable(tensor.name))' has shape \(Array(tensor.extents.reversed()))",
        cause: "rank and base call for \(shape)",
        "check that the adapter belongs to this base")
    }
    let floats = file.floats(of: tensor)
    guard floats.allSatisfy(\.isFinite) else { throw fault("tensor '\(printable(tensor.name))' is not finite") }
    return Tensor(floats, shape: shape)
  }
}
