import Files
import JSON
import Models
import PEFTKernel

/// What a config of PEFT's says of tensors of the base: `modules_to_save` and `bias`.
enum PEFTBaseTensors {
  /// The tensors that the files bring along. Words that no module of the model ends with are passed over, as PEFT does: it writes
  /// every name that a head of a task may have.
  static func subset(
    _ folder: AdapterFolder, _ model: any LanguageModel, roles: Set<String>, _ notes: inout [String]
  ) throws(FileError) -> TrainableSubset {
    func fault(_ what: String, _ remedy: String? = nil) -> FileError {
      FileError(.badData, folder.configPath, what, remedy: remedy)
    }
    var subset = TrainableSubset(roles: roles)
    switch folder.config["bias"] ?? .null {
    case .null, "none": break
    case "all": subset.biases = .all
    case .string(let word) where word.hasSuffix("_only"): subset.biases = .sites
    case let other: throw fault("bias: is \(other.text())", "known: none, all, lora_only")
    }
    let given = folder.config["modules_to_save"] ?? .null
    let names = given.isNull ? [] : given.array?.map(\.string) ?? [nil]
    guard !names.contains(nil), !names.contains("") else { throw fault("modules_to_save: is no list of names") }
    subset.modules = names.compactMap { $0 }
    let unmatched = subset.unmatchedModules(among: model.tensorNames)
    if !unmatched.isEmpty {
      notes.append("modules_to_save: \(unmatched.joined(separator: ", ")) name no module of this \(model.modelType) model")
      subset.modules.removeAll { unmatched.contains($0) }
    }
    guard folder.config["ensure_weight_tying"] == true, let head = model.sharedHead else { return subset }
    let saved = subset.baseTensors(among: model.tensorNames, at: [])
    if saved.contains(head.table), !saved.contains(head.name) {
      subset.modules.append(head.site.id.path)
      notes.append("ensure_weight_tying: table and head are as the files have them; a run that goes on trains each by itself")
    }
    return subset
  }

  /// The fields for it, in PEFT's words for an adapter of this type.
  static func fields(_ subset: TrainableSubset, peftType: String) -> [String: JSON] {
    let bias: JSON =
      switch subset.biases {
      case .none: "none"
      case .sites: .string(peftType.lowercased() + "_only")
      case .all: "all"
      }
    return ["bias": bias, "modules_to_save": subset.modules.isEmpty ? .null : .array(subset.modules.map(JSON.string))]
  }
}
