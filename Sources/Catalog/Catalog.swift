import AdaPreLoRA
import AltLoRA
import BlockLoRA
import Blocks
import DoRA
import FourierFT
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
import RandLoRA
import Registry
import SALT
import SHiRA
import SNELL
import ScaledAdamW
import UniLoRA
import VeRA
import WaRA
import WaveFT

/// Every method of this package: its code and its entries in `methods/`.
public enum Catalog {
  private typealias Text = PackageResources
  private typealias Method = (plugin: Plugin, entries: KeyValuePairs<String, [UInt8]>)

  /// What the building blocks offer, then the methods as `Package.swift` lists them, each with its files.
  private static let methods: [Method] = [
    (
      BuildingBlocks.plugin,
      [
        "core-gradient": Text.core_gradient_yaml, "full": Text.full_yaml,
        "hadamard-first-step": Text.hadamard_first_step_yaml, "loftq": Text.loftq_yaml,
        "masked-principal": Text.masked_principal_yaml,
        "spectrum-gradient": Text.spectrum_gradient_yaml,
        "wavelet-gradient": Text.wavelet_gradient_yaml,
      ]
    ),
    (AdaPreLoRAMethod.plugin, [:]),
    (AltLoRAMethod.plugin, [:]),
    (BlockLoRAMethod.plugin, ["block-lora": Text.block_lora_yaml]),
    (DoRAMethod.plugin, ["dora": Text.dora_yaml]),
    (FourierFTMethod.plugin, ["fourierft": Text.fourierft_yaml]),
    (GaLoreMethod.plugin, [:]),
    (HydraMethod.plugin, ["hydra": Text.hydra_yaml]),
    (
      LoRAMethod.plugin,
      ["lora": Text.lora_yaml, "mica": Text.mica_yaml, "olora": Text.olora_yaml, "rslora": Text.rslora_yaml]
    ),
    (LoRAGAMethod.plugin, ["lora-ga": Text.lora_ga_yaml]),
    (LoRAPlusMethod.plugin, [:]),
    (LoRAProMethod.plugin, [:]),
    (LoRARITEMethod.plugin, [:]),
    (LoRASBMethod.plugin, ["lora-sb": Text.lora_sb_yaml, "lora-xs": Text.lora_xs_yaml]),
    (MaskedMethod.plugin, ["masked": Text.masked_yaml]),
    (PiSSAMethod.plugin, ["pissa": Text.pissa_yaml]),
    (QWHAMethod.plugin, ["qwha": Text.qwha_yaml]),
    (QueryableLoRAMethod.plugin, ["queryable-lora": Text.queryable_lora_yaml]),
    (RandLoRAMethod.plugin, ["randlora": Text.randlora_yaml]),
    (SALTMethod.plugin, ["salt": Text.salt_yaml]),
    (SHiRAMethod.plugin, ["shira": Text.shira_yaml]),
    (SNELLMethod.plugin, ["snell": Text.snell_yaml]),
    (ScaledAdamWMethod.plugin, [:]),
    (UniLoRAMethod.plugin, ["uni-lora": Text.uni_lora_yaml]),
    (VeRAMethod.plugin, ["vera": Text.vera_yaml]),
    (WaRAMethod.plugin, ["wara": Text.wara_yaml]),
    (WaveFTMethod.plugin, ["waveft": Text.waveft_yaml]),
  ]

  /// What the methods register.
  public static let plugins: [Plugin] = methods.map(\.plugin)

  /// The files of `methods/`.
  public static let entries: [EntrySource] = methods.flatMap { method in
    method.entries.map { EntrySource(file: "methods/\($0.key).yaml", bytes: $0.value) }
  }

  /// What goes with what among these methods, as the conformance suite found it.
  public static let grid = String(decoding: Text.grid_md, as: UTF8.self)

  /// The registry of these methods, and of a user's own entries in `folders`.
  public static func registry(folders: [String] = []) throws -> MethodRegistry {
    try MethodRegistry(plugins: plugins, entries: entries, folders: folders)
  }
}
