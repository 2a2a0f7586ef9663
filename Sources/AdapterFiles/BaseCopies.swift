import Files
import Models
import PEFTKernel

/// Weights of the base that stand in an adapter's file: PEFT copies embeddings and head there when one of them is adapted.
enum BaseCopies {
  /// The names of those that say what the base says anyway. Refuses others: they were trained or resized, and would be lost.
  /// What is trained by itself is not looked at.
  static func names(
    in weights: SafetensorsFile, of model: any Model, besides trained: [String] = []
  ) throws(FileError) -> [String] {
    let parameters = Set(model.parameters.map(\.name)).subtracting(trained)
    var spelled: [String: String] = [:]
    for parameter in model.parameters { for name in parameter.names { spelled[name] = parameter.name } }
    let all = weights.tensors.map(\.name)
    var copies: [String] = []
    for entry in weights.tensors {
      if AdapterNames.isCopy(entry.name, beside: all) {
        copies.append(entry.name)
        continue
      }
      guard let stored = parameter(entry.name) else { continue }
      let name = spelled[stored] ?? stored
      if trained.contains(name) { continue }
      let values: [Float]
      if parameters.contains(name) {
        values = model.parameter(name).floats
      } else if let site = model.sites.first(where: { $0.id.path + ".weight" == name }) {
        // A head that shares the embedding table.
        values = model.base(site.id).weight(as: .float32).floats
      } else {
        continue
      }
      guard !entry.dtype.isInteger, try weights.floats(of: entry.name) == values else {
        throw FileError(
          .badData, weights.path, "tensor '\(printable(entry.name))' is not the base's own \(name)",
          cause: "its shape is \(entry.shape): it was trained or resized, or belongs to another base",
          remedy: "give the base it was trained on, or merge the adapter in PEFT")
      }
      copies.append(entry.name)
    }
    return copies
  }

  /// The parameter that a tensor of PEFT's names, `model.lm_head.base_layer.weight` say; nil for an adapter's own.
  private static func parameter(_ name: String) -> String? {
    let prefix = "base_model.model."
    let bare = name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    guard bare.hasSuffix(".weight") || bare.hasSuffix(".bias"), !bare.contains(".lora_") else { return nil }
    return bare.replacing(".base_layer.", with: ".").replacing(".modules_to_save.", with: ".")
  }
}
