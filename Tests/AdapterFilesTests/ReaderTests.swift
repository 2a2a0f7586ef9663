import AdapterFiles
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

@Suite("Reading PEFT adapters")
struct ReaderTests {
  let scratch: Scratch
  let registry: MethodRegistry

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  @Test(
    "every tensor of PEFT's files arrives, with the scale its config gives",
    arguments: [
      ("llama", "llama", 4, 2.0), ("llama-rslora", "llama", 8, 16 / 8.0.squareRoot()), ("gpt2", "gpt2", 4, 2.0),
    ])
  func peft(_ name: String, _ family: String, _ rank: Int, _ scale: Double) throws {
    let stored = try AdapterReader.read(fixture(name), for: scratch.model(family), registry: registry)
    let file = try SafetensorsFile(fixture(name) + "/adapter_model.safetensors")
    #expect(stored.adapter.layout.count == file.tensors.count)
    for spec in stored.adapter.layout {
      let name = "base_model.model.\(spec.key)"
      #expect(try stored.adapter.tensors[spec.key].floats == file.floats(of: name))
    }
    for site in stored.adapter.sites {
      #expect(stored.adapter.parameterization.projection.scale(at: site) == scale)
      #expect(stored.adapter.tensors["lora_A.weight", site.id].rows == rank)
    }
    #expect(stored.entry.name == "lora")
    #expect(stored.notes == ["the files carry no fingerprint of the base: names and shapes were checked, its weights were not"])
  }

  @Test("names without the prefix, or with an adapter's name, are the same names")
  func spelling() throws {
    let model = try scratch.model("llama")
    let plain = try AdapterReader.read(fixture("llama"), for: model, registry: registry)
    let spellings: [(String) -> String] = [
      { $0.replacing("base_model.model.", with: "") }, { $0.replacing(".weight", with: ".default.weight") },
      { $0.replacing("base_model.model.", with: "").replacing(".weight", with: ".other.weight") },
    ]
    for spell in spellings {
      let folder = try scratch.adapter("llama") { for i in $0.indices { $0[i].name = spell($0[i].name) } }
      let read = try AdapterReader.read(folder, for: model, registry: registry)
      for spec in plain.adapter.layout {
        #expect(read.adapter.tensors[spec.key].floats == plain.adapter.tensors[spec.key].floats)
      }
    }
  }

  @Test("half-precision tensors are widened", arguments: [StoredType.bf16, .f16])
  func halves(_ type: StoredType) throws {
    let folder = try scratch.adapter("llama") { for i in $0.indices { $0[i].dtype = type } }
    let read = try AdapterReader.read(folder, for: scratch.model("llama"), registry: registry)
    let file = try SafetensorsFile(folder + "/adapter_model.safetensors")
    for spec in read.adapter.layout {
      #expect(try read.adapter.tensors[spec.key].floats == file.floats(of: "base_model.model.\(spec.key)"))
      #expect(read.adapter.tensors[spec.key].scalar == .float32)
    }
  }

  @Test("a config of four fields has PEFT's defaults for the rest")
  func minimal() throws {
    let folder = try scratch.adapter("llama")
    let config: JSON = ["peft_type": "LORA", "r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]]
    try WholeFile.write(config.text(), to: folder + "/adapter_config.json")
    let read = try AdapterReader.read(folder, for: scratch.model("llama"), registry: registry)
    #expect(read.adapter.parameterization.projection.scale(at: read.adapter.sites[0]) == 1.5)
  }

  @Test(
    "fields that change the forward are refused by name",
    arguments: [
      ("trainable_token_indices", [-1], "trainable_token_indices: -1 is no row of model.embed_tokens, which has 512"),
      ("trainable_token_indices", "x", "trainable_token_indices: is no list of ids"),
      ("trainable_token_indices", ["wte": [1]], "trainable_token_indices: `wte` names no embedding table of this llama model"),
      ("modules_to_save", [1], "modules_to_save: is no list of names"),
      ("bias", 1, "bias: is 1; known: none, all, lora_only"),
      ("target_parameters", ["x"], "target_parameters: is not supported (it is [\"x\"]); merge the adapter in PEFT"),
      ("layer_replication", [[0, 1]], "layer_replication: is not supported (it is [[0, 1]]); merge the adapter in PEFT"),
      ("use_qalora", true, "use_qalora: is not supported (it is true); merge the adapter in PEFT"),
      ("alora_invocation_tokens", [3], "alora_invocation_tokens: is not supported (it is [3]); merge the adapter in PEFT"),
      (
        "target_modules", ["mlp"],
        "target_modules: means model.layers.0.mlp, which is no linear map; name linear maps only"
      ),
      (
        "layers_to_transform", ["x"], "layers_to_transform: is neither an integer nor a list of them"
      ),
      (
        "init_lora_weights", "lora_ga",
        "init_lora_weights: 'lora_ga' adapters belong to a base that is changed by their start, which cannot be known from "
          + "these files; convert it in PEFT: save_pretrained with path_initial_model_for_weight_conversion"
      ),
      (
        "init_lora_weights", "corda",
        "init_lora_weights: 'corda' adapters belong to a base that is changed by their start, which cannot be known from "
          + "these files; convert it in PEFT: save_pretrained with path_initial_model_for_weight_conversion"
      ),
      ("init_lora_weights", "magic", "init_lora_weights: \"magic\" is no start that is known; convert the adapter in PEFT"),
      (
        "task_type", "POETRY",
        "task_type: is \"POETRY\"; known: CAUSAL_LM, FEATURE_EXTRACTION, QUESTION_ANS, SEQ_2_SEQ_LM, SEQ_CLS, TOKEN_CLS"
      ),
      (
        "peft_type", "VBLORA",
        "peft_type: 'VBLORA' cannot be read (without a swift_peft record these can: FOURIERFT, LORA, RANDLORA, SHIRA, UNILORA, VERA, "
          + "WAVEFT); convert the adapter to LORA, or merge it in PEFT"
      ),
      ("layers_pattern", "layers", "layers_pattern: means nothing without layers_to_transform; remove it"),
      ("target_modules", 3, "target_modules: is neither text nor a list"),
      ("swift_peft", ["format": 9], "swift_peft: has format 9 (this version reads up to 1); use a newer version"),
      ("rank_pattern", ["[": 4], "rank_pattern: '[' is no regular expression"),
    ] as [(String, JSON, String)])
  func refusals(_ field: String, _ value: JSON, _ said: String) throws {
    let folder = try scratch.adapter("llama", config: [field: value])
    let heard = message(scratch) { _ = try AdapterReader.read(folder, for: scratch.model("llama"), registry: registry) }
    #expect(heard == "edited/adapter_config.json: " + said)
  }

  @Test("an option out of its range is refused")
  func range() throws {
    let folder = try scratch.adapter("llama", config: ["r": 0])
    let heard = message(scratch) { _ = try AdapterReader.read(folder, for: scratch.model("llama"), registry: registry) }
    #expect(heard.hasPrefix("edited/adapter_config.json: "))
    #expect(heard.hasSuffix("`rank` is the integer 0, but must be an integer from 1 to 1048576"))
  }

  @Test("tensors that are missing, unexpected, of another shape, type or not finite")
  func tensors() throws {
    let model = try scratch.model("llama")
    let q = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    let cases: [(String, (inout [StoredTensor]) -> Void)] = [
      (
        "lacks '\(q)' (the config calls for 8 tensors, the file has 7); check that config, tensors and base belong together",
        { $0.removeAll { $0.name == q } }
      ),
      (
        "has no place for 'base_model.model.lm_head.lora_A.weight' (1 of its 9 tensors belong to no site that the config "
          + "chooses); check that config, tensors and base belong together",
        { $0.append(StoredTensor(name: "base_model.model.lm_head.lora_A.weight", shape: [1], floats: [0])) }
      ),
      (
        "tensor '\(q)' has shape [2, 64] (config and base call for [4, 64]); check the rank, and that the adapter belongs to this base",
        { tensors in
          for i in tensors.indices where tensors[i].name == q {
            tensors[i].shape = [2, 64]
            tensors[i].floats.removeLast(128)
          }
        }
      ),
      (
        "tensor '\(q)' is not finite (nan at 3 of 256); use a checkpoint from before the run diverged",
        { tensors in for i in tensors.indices where tensors[i].name == q { tensors[i].floats[3] = .nan } }
      ),
      (
        "holds several adapters: a, b; save each in a directory of its own",
        { tensors in
          for i in tensors.indices {
            tensors[i].name = tensors[i].name.replacing(".weight", with: i == 0 ? ".a.weight" : ".b.weight")
          }
        }
      ),
      (
        "holds one tensor under two names, '\(q)' and '\(q.replacing("base_model.model.", with: ""))'",
        { tensors in
          for tensor in tensors where tensor.name == q {
            var copy = tensor
            copy.name = q.replacing("base_model.model.", with: "")
            tensors.append(copy)
          }
        }
      ),
    ]
    for (said, edit) in cases {
      let folder = try scratch.adapter("llama", edit)
      let heard = message(scratch) { _ = try AdapterReader.read(folder, for: model, registry: registry) }
      #expect(heard == "edited/adapter_model.safetensors: " + said)
    }
  }

  @Test("a file of another architecture says so")
  func architecture() throws {
    let heard = message(scratch) { _ = try AdapterReader.read(fixture("gpt2"), for: scratch.model("llama"), registry: registry) }
    #expect(heard.contains("matches no site of the model"))
    let folder = try scratch.adapter("gpt2", config: ["target_modules": ["q_proj"]])
    let other = try said(folder)
    #expect(other.contains("none of its 16 tensors belongs to this model and config"))
  }

  private func said(_ folder: String) throws -> String {
    let model = try scratch.model("llama")
    return message(scratch) { _ = try AdapterReader.read(folder, for: model, registry: registry) }
  }

  @Test("folders that are no adapters")
  func folders() throws {
    let folder = try scratch.adapter("llama")
    #expect(
      try said(scratch["nowhere"])
        == "nowhere: there is no such directory; give a local adapter directory; nothing is fetched over the network")
    #expect(
      try said(scratch.model("llama").directory.path).hasSuffix(
        "has no adapter_config.json (it holds a model); give an adapter directory"))
    try Folder.remove(folder + "/adapter_model.safetensors")
    #expect(try said(folder) == "edited: has no adapter_model.safetensors; copy it beside adapter_config.json")
    try WholeFile.write("x", to: folder + "/adapter_model.bin")
    #expect(
      try said(folder)
        == "edited: has no adapter_model.safetensors (there is adapter_model.bin); pickle files can run code and are refused: "
        + "load the adapter in PEFT and save it as safetensors")
    let mlx: JSON = ["fine_tune_type": "lora", "lora_parameters": ["rank": 8]]
    try WholeFile.write(mlx.text(), to: folder + "/adapter_config.json")
    #expect(try said(folder).hasPrefix("edited: has no adapters.safetensors (its adapter_config.json is of mlx-lm)"))
    try WholeFile.write("{}", to: folder + "/adapter_config.json")
    try WholeFile.write([UInt8](fixtureBytes("llama")), to: folder + "/adapter_model.safetensors")
    #expect(try said(folder).hasPrefix("edited/adapter_config.json: has no peft_type"))
  }

  private func fixtureBytes(_ name: String) throws -> [UInt8] {
    try MappedFile(fixture(name) + "/adapter_model.safetensors").withBytes { Array($0) }
  }

  @Test("unknown fields are listed, not obeyed")
  func unknown() throws {
    let folder = try scratch.adapter("llama", config: ["zeta": 1, "alpha_new": true])
    let read = try AdapterReader.read(folder, for: scratch.model("llama"), registry: registry)
    #expect(read.notes.contains("adapter_config.json: passed over fields that are not known: alpha_new, zeta"))
  }
}

@Suite("PEFT's patterns and targets")
struct PatternTests {
  let scratch: Scratch
  let registry: MethodRegistry

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  /// Every q_proj in layer 1 cut down to rank 2.
  private func cut(_ tensors: inout [StoredTensor]) {
    for i in tensors.indices where tensors[i].name.contains("layers.1.self_attn.q_proj") {
      let (rows, columns) = (tensors[i].shape[0], tensors[i].shape[1])
      if tensors[i].name.contains("lora_A") {
        tensors[i].shape = [2, columns]
        tensors[i].floats.removeLast(tensors[i].floats.count - 2 * columns)
      } else {
        let old = tensors[i].floats
        tensors[i].shape = [rows, 2]
        tensors[i].floats = (0..<rows * 2).map { old[$0 / 2 * columns + $0 % 2] }
      }
    }
  }

  @Test("the shapes say the rank where overlapping patterns do not; of alphas the longest pattern counts")
  func overlapping() throws {
    // Sorted, as files are, the wider pattern comes first: PEFT itself cannot read this one back.
    let folder = try scratch.adapter(
      "llama",
      config: [
        "rank_pattern": ["q_proj": 4, "1.self_attn.q_proj": 2],
        "alpha_pattern": ["q_proj": 4, "layers.1.self_attn.q_proj": 6, "fc": 9],
      ], cut)
    let read = try AdapterReader.read(folder, for: scratch.model("llama"), registry: registry)
    let scales = Dictionary(
      uniqueKeysWithValues: read.adapter.sites.map { ($0.id.path, read.adapter.parameterization.projection.scale(at: $0)) })
    #expect(scales["model.layers.0.self_attn.q_proj"] == 1)
    #expect(read.notes.contains("alpha_pattern: fc match no adapted site"))
    #expect(scales["model.layers.1.self_attn.q_proj"] == 3)
    #expect(scales["model.layers.1.self_attn.v_proj"] == 2)
    #expect(
      read.notes.contains(
        "alpha_pattern: layers.1.self_attn.q_proj, q_proj all match model.layers.1.self_attn.q_proj; the longest, "
          + "layers.1.self_attn.q_proj, is used"))
  }

  @Test("ranks beyond a site's size are PEFT's to choose")
  func excess() throws {
    let folder = try scratch.adapter("llama", config: ["r": 100, "rank_pattern": [:], "lora_alpha": 100]) { tensors in
      for i in tensors.indices {
        let (rows, columns) = (tensors[i].shape[0], tensors[i].shape[1])
        tensors[i].shape = tensors[i].name.contains("lora_A") ? [100, columns] : [rows, 100]
        tensors[i].floats = Array(repeating: 0.5, count: tensors[i].shape[0] * tensors[i].shape[1])
      }
    }
    let read = try AdapterReader.read(folder, for: scratch.model("llama"), registry: registry)
    #expect(read.adapter.layout.contains { $0.shape[0] == 100 })
  }

  @Test("a shape that no pattern explains is an error")
  func unexplained() throws {
    let folder = try scratch.adapter("llama", config: ["rank_pattern": ["layers.1.self_attn.q_proj": 3]], cut)
    let heard = message(scratch) { _ = try AdapterReader.read(folder, for: scratch.model("llama"), registry: registry) }
    #expect(
      heard == "edited/adapter_model.safetensors: tensor 'base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight' has "
        + "shape [2, 64], which is rank 2 (rank_pattern gives 3); correct adapter_config.json")
  }

  @Test(
    "targets by regex, whole path, exclusion and layer",
    arguments: [
      (["target_modules": ".*\\.(q_proj|v_proj)"], 4),
      (["target_modules": ["model.layers.0.self_attn.q_proj", "v_proj"]], 3),
      (["target_modules": ["q_proj", "v_proj", "k_proj"], "exclude_modules": ["k_proj"]], 4),
      (["target_modules": ["q_proj", "v_proj", "k_proj"], "exclude_modules": ["k_proj", "vision_tower", "mlp"]], 4),
      (["exclude_modules": ".*vision.*"], 4),
      (["target_modules": ["q_proj", "v_proj"], "layers_to_transform": 1], 2),
      (["target_modules": ["q_proj", "v_proj"], "layers_to_transform": [0]], 2),
      (["target_modules": .null], 4),
    ] as [([String: JSON], Int)])
  func targets(_ config: [String: JSON], _ count: Int) throws {
    let model = try scratch.model("llama")
    let all = try AdapterReader.read(fixture("llama"), for: model, registry: registry).adapter
    // Keep the tensors of the sites that are left.
    let keep: (String) -> Bool =
      switch (config["layers_to_transform"], count) {
      case (.some(let layers), _): { $0.contains(layers == 1 ? "layers.1" : "layers.0") }
      case (nil, 3): { !$0.contains("layers.1.self_attn.q_proj") }
      default: { _ in true }
      }
    let folder = try scratch.adapter("llama", config: config) { $0.removeAll { !keep($0.name) } }
    let read = try AdapterReader.read(folder, for: model, registry: registry).adapter
    #expect(read.sites.count == count)
    for spec in read.layout { #expect(read.tensors[spec.key].floats == all.tensors[spec.key].floats) }
  }
}
