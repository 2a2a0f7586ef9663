import LoRA
import LoRAGA
import PEFTKernel
import QueryableLoRA
import Registry
import Training
import UniLoRA

/// Every method of this package: its code and its entries in `methods/`.
public enum Catalog {
  /// What the methods register, in the order of the list in `Package.swift`, after what training itself offers.
  public static let plugins: [Plugin] = [
    AdamW.plugin,
    LoRAMethod.plugin,
    LoRAGAMethod.plugin,
    QueryableLoRAMethod.plugin,
    UniLoRAMethod.plugin,
  ]

  /// The files of `methods/`.
  public static let entries: [EntrySource] = [
    EntrySource(file: "methods/full.yaml", bytes: PackageResources.full_yaml),
    EntrySource(file: "methods/lora.yaml", bytes: PackageResources.lora_yaml),
    EntrySource(file: "methods/lora-ga.yaml", bytes: PackageResources.lora_ga_yaml),
    EntrySource(file: "methods/queryable-lora.yaml", bytes: PackageResources.queryable_lora_yaml),
    EntrySource(file: "methods/rslora.yaml", bytes: PackageResources.rslora_yaml),
    EntrySource(file: "methods/uni-lora.yaml", bytes: PackageResources.uni_lora_yaml),
  ]

  /// The registry of these methods, and of a user's own entries in `folders`.
  public static func registry(folders: [String] = []) throws -> MethodRegistry {
    try MethodRegistry(plugins: plugins, entries: entries, folders: folders)
  }
}
