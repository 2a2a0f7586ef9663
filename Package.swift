// swift-tools-version: 6.1
import PackageDescription

// Every method, in order: its target under Plugins/, and its files in methods/, which the catalog embeds so that the built
// program finds them anywhere. `Sources/Catalog/Catalog.swift` holds the same list; a test compares the two and the folders.
let methods: KeyValuePairs = [
  "AdaPreLoRA": [],
  "AltLoRA": [],
  "BlockLoRA": ["block-lora"],
  "DoRA": ["dora"],
  "FourierFT": ["fourierft"],
  "GaLore": [],
  "Hydra": ["hydra"],
  "LoRA": ["lora", "mica", "olora", "rslora"],
  "LoRAGA": ["lora-ga"],
  "LoRAPlus": [],
  "LoRAPro": [],
  "LoRARITE": [],
  "LoRASB": ["lora-sb", "lora-xs"],
  "Masked": ["masked"],
  "PiSSA": ["pissa"],
  "QWHA": ["qwha"],
  "QueryableLoRA": ["queryable-lora"],
  "RandLoRA": ["randlora"],
  "SALT": ["salt"],
  "SHiRA": ["shira"],
  "SNELL": ["snell"],
  "ScaledAdamW": [],
  "UniLoRA": ["uni-lora"],
  "VeRA": ["vera"],
  "WaRA": ["wara"],
  "WaveFT": ["waveft"],
]
let plugins = methods.map(\.key)
// Entries that need no code of their own: what the building blocks make up, five of them compositions that no paper has.
let composed = [
  "core-gradient", "full", "hadamard-first-step", "loftq", "masked-principal", "spectrum-gradient", "wavelet-gradient",
]
let entries = composed + methods.flatMap(\.value)

let settings: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let package = Package(
  name: "swift-peft",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "peft", targets: ["peft"]),
    .library(
      name: "SwiftPEFT",
      targets: [
        "PEFTKernel", "Blocks", "Engine", "Registry", "ChatTemplates", "Tokenization", "Models", "AdapterFiles", "Training",
        "Catalog",
      ]),
    .library(name: "PEFTConformance", targets: ["Conformance"]),
    .library(name: "PEFTCommand", targets: ["PEFTCLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // System libraries and C.
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    .systemLibrary(name: "CLAPACKE", pkgConfig: "lapacke", providers: [.apt(["liblapacke-dev"]), .brew(["lapack"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"]), .brew(["libyaml"])]),
    .target(name: "CKernels"),

    // The house, bottom to top: a target may import only what stands above it in this list.
    room("JSON"),
    room("ChatTemplates", ["JSON"]),
    room("YAML", ["CYAML"]),
    room("Engine", ["CKernels", "COpenBLAS", "CLAPACKE"]),
    room("PEFTKernel", ["Engine"]),
    room("Blocks", ["PEFTKernel", "Engine"]),
    room("Files", ["JSON"]),
    room("Tokenization", ["JSON"]),
    room("Models", ["PEFTKernel", "Engine", "Files", "JSON"]),
    room("Registry", ["PEFTKernel", "YAML", "JSON", "Files"]),
    room("AdapterFiles", ["Registry", "Models", "PEFTKernel", "Engine", "Files", "JSON"]),
    room(
      "Training",
      [
        "AdapterFiles", "Registry", "Models", "Tokenization", "ChatTemplates", "Blocks", "PEFTKernel", "Engine", "Files", "JSON",
      ]),
    room("Conformance", ["Training", "AdapterFiles", "Registry", "Models", "Blocks", "PEFTKernel", "Engine", "Files", "JSON"]),
    .target(
      name: "Catalog", dependencies: plugins.map { .init(stringLiteral: $0) } + ["Blocks", "PEFTKernel", "Registry"],
      resources: entries.map { .embedInCode("methods/\($0).yaml") } + [.embedInCode("grid.md")],
      swiftSettings: settings),
    room(
      "PEFTCLI",
      [
        "Conformance", "Training", "AdapterFiles", "Registry", "Models", "Tokenization", "ChatTemplates", "Blocks", "PEFTKernel",
        "Engine", "Files", "JSON", "YAML",
        .product(name: "ArgumentParser", package: "swift-argument-parser"), .product(name: "Logging", package: "swift-log"),
      ]),
    .executableTarget(name: "peft", dependencies: ["PEFTCLI", "Catalog"], swiftSettings: settings),
    // Measures what the papers claim; see docs/claims.md.
    .executableTarget(
      name: "claims",
      dependencies: [
        "PEFTCLI", "Catalog", "Training", "Registry", "Models", "Blocks", "QWHA", "DoRA", "PEFTKernel", "Engine", "Files", "JSON",
      ],
      path: "Tools/claims", swiftSettings: settings),
  ]
    + plugins.map {
      .target(name: $0, dependencies: ["PEFTKernel", "Blocks", "Engine"], path: "Plugins/\($0)", swiftSettings: settings)
    }
    + plugins.map { tests("\($0)Tests", [.init(stringLiteral: $0), "Conformance", "Catalog", "Blocks", "PEFTKernel", "Engine"]) }
    + [
      tests("EngineTests", ["Engine", "CKernels"]),
      tests("PEFTKernelTests", ["PEFTKernel", "Engine"]),
      tests("BlocksTests", ["Blocks", "Catalog", "Conformance", "PEFTKernel", "Engine"]),
      tests("JSONTests", ["JSON"]),
      tests("ChatTemplatesTests", ["ChatTemplates", "JSON"], resources: [.copy("Fixtures")]),
      tests("YAMLTests", ["YAML"]),
      tests("FilesTests", ["Files"]),
      tests("TokenizationTests", ["Tokenization", "JSON"], resources: [.copy("Fixtures")]),
      tests("ModelsTests", ["Models", "PEFTKernel", "Engine", "Files", "JSON"], resources: [.copy("Fixtures")]),
      tests("RegistryTests", ["Registry", "Catalog", "Files", "PEFTKernel", "Engine", "JSON"]),
      tests(
        "AdapterFilesTests",
        ["AdapterFiles", "Catalog", "Registry", "Models", "Files", "Blocks", "PEFTKernel", "Engine", "JSON"],
        resources: [.copy("Fixtures")]),
      tests(
        "TrainingTests",
        [
          "Training", "AdapterFiles", "Catalog", "Registry", "Models", "Tokenization", "ChatTemplates", "Files", "Blocks",
          "PEFTKernel", "Engine", "JSON",
        ],
        resources: [.copy("Fixtures")]),
      tests(
        "ConformanceTests", ["Conformance", "Catalog", "Training", "Registry", "Files", "Blocks", "PEFTKernel", "Engine"],
        resources: [.copy("Fixtures")]),
      tests("CommandTests", ["PEFTCLI", "Catalog", "Training", "Files", "JSON"]),
    ]
)
