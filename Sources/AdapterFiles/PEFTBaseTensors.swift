import Files
import JSON
import Models
import PEFTKernel

/// What a config of PEFT's says of tensors of the base: `modules_to_save` and `bias`.
enum PEFTBaseTensors {
  /// The tensors that the files bring along. Words that no module of the model ends with are passed over, as PEFT does: it writes
  /// every name that a head of a task may have.
  static func subset(
    _ folder: AdapterFolder, _ model: any Model, roles: Set<String>, _ notes: inout [String]
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
    let unmatched = model.unmatchedModules(of: subset)
    if !unmatched.isEmpty {
      notes.append("modules_to_save: \(unmatched.joined(separator: ", ")) name no module of this \(model.modelType) model")
      subset.modules.removeAll { unmatched.contains($0) }
    }
    guard folder.config["ensure_weight_tying"] == true, let head = model.sharedHead else { return subset }
    let saved = model.tensors(of: subset, at: [])
    if saved.contains(head.table), !saved.contains(head.name) {
      subset.modules.append(head.site.id.path)
      notes.append("ensure_weight_tying: table and head are as the files have them; a run that goes on trains each by itself")
    }
    return subset
  }

  /// The fields for it, in PEFT's words for an adapter of this type.
  static func fields(_ subset: TrainableSubset, peftType: String, _ model: any Model) -> [String: JSON] {
    let bias: JSON =
      switch subset.biases {
      case .none: "none"
      case .sites: .string(peftType.lowercased() + "_only")
      case .all: "all"
      }
    let modules = modules(subset, model)
    return ["bias": bias, "modules_to_save": modules.isEmpty ? .null : .array(modules.map(JSON.string))]
  }

  /// The modules as they are called today: PEFT passes over words that mean nothing to it, and what was saved with them.
  private static func modules(_ subset: TrainableSubset, _ model: any Model) -> [String] {
    let spellings = model.tensorSpellings
    var whole = subset
    whole.biases = .none
    let meant = model.tensors(of: whole, at: [])
    func today(_ name: String) -> String { spellings[name]?.first ?? name }
    guard whole.baseTensors(among: model.tensorNames, at: [], spelled: { [today($0)] }) != meant else { return subset.modules }
    var paths: [String] = []
    for name in meant.map(today) {
      let path = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
      if !paths.contains(path) { paths.append(path) }
    }
    return paths
  }
}
