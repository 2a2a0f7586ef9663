import AdaPreLoRA
import AltLoRA
import BlockLoRA
import Blocks
import DoRA
import GaLore
import Hydra
import LoRA
import LoRAGA
import LoRAPlus
import LoRAPro
import LoRARITE
import LoRASB
import Masked
import PEFTKernel
import PiSSA
import QWHA
import QueryableLoRA
import Registry
import SALT
import SNELL
import ScaledAdamW
import UniLoRA
import WaRA

/// Every method of this package: its code and its entries in `methods/`.
public enum Catalog {
  private typealias Method = (plugin: Plugin, entries: KeyValuePairs<String, [UInt8]>)

  /// What the building blocks offer, then the methods as `Package.swift` lists them, each with its files.
  private static let methods: [Method] = [
    (BuildingBlocks.plugin, ["full": PackageResources.full_yaml]),
    (AdaPreLoRAMethod.plugin, [:]),
    (AltLoRAMethod.plugin, [:]),
    (BlockLoRAMethod.plugin, [:]),
    (DoRAMethod.plugin, [:]),
    (GaLoreMethod.plugin, [:]),
    (HydraMethod.plugin, [:]),
    (
      LoRAMethod.plugin,
      [
        "loftq": PackageResources.loftq_yaml, "lora": PackageResources.lora_yaml, "mica": PackageResources.mica_yaml,
        "olora": PackageResources.olora_yaml, "rslora": PackageResources.rslora_yaml,
      ]
    ),
    (LoRAGAMethod.plugin, ["lora-ga": PackageResources.lora_ga_yaml]),
    (LoRAPlusMethod.plugin, [:]),
    (LoRAProMethod.plugin, [:]),
    (LoRARITEMethod.plugin, [:]),
    (LoRASBMethod.plugin, ["lora-sb": PackageResources.lora_sb_yaml, "lora-xs": PackageResources.lora_xs_yaml]),
    (MaskedMethod.plugin, ["masked": PackageResources.masked_yaml]),
    (PiSSAMethod.plugin, ["pissa": PackageResources.pissa_yaml]),
    (QWHAMethod.plugin, ["qwha": PackageResources.qwha_yaml]),
    (QueryableLoRAMethod.plugin, ["queryable-lora": PackageResources.queryable_lora_yaml]),
    (SALTMethod.plugin, [:]),
    (SNELLMethod.plugin, [:]),
    (ScaledAdamWMethod.plugin, [:]),
    (UniLoRAMethod.plugin, ["uni-lora": PackageResources.uni_lora_yaml]),
    (WaRAMethod.plugin, [:]),
  ]

  /// What the methods register.
  public static let plugins: [Plugin] = methods.map(\.plugin)

  /// The files of `methods/`.
  public static let entries: [EntrySource] = methods.flatMap { method in
    method.entries.map { EntrySource(file: "methods/\($0.key).yaml", bytes: $0.value) }
  }

  /// What goes with what among these methods, as the conformance suite found it.
  public static let grid = String(decoding: PackageResources.grid_md, as: UTF8.self)

  /// The registry of these methods, and of a user's own entries in `folders`.
  public static func registry(folders: [String] = []) throws -> MethodRegistry {
    try MethodRegistry(plugins: plugins, entries: entries, folders: folders)
  }
}
