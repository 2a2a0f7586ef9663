import JSON
import PEFTKernel
import Registry

/// What Hugging Face PEFT's config of one `peft_type` holds, and what of it is understood here.
struct PEFTDialect: Sendable {
  /// A field that changes what the adapter computes, and the values at which it does not.
  struct Demand: Sendable {
    var field: String
    var isServed: @Sendable (JSON) -> Bool
    var remedy: String

    init(_ field: String, remedy: String = "", isServed: @escaping @Sendable (JSON) -> Bool = isUnset) {
      self.field = field
      self.isServed = isServed
      self.remedy = remedy
    }
  }

  /// What entries of the registry call it.
  var key: String
  var peftType: String
  /// Switches of the config that tell it from others of its `peft_type`.
  var marks: [String: JSON] = [:]
  /// PEFT's fields that are options of the method, by its names for them, with its defaults.
  var options: [String: JSON]
  /// Options of ours that PEFT takes for granted: a method with other values is no method of PEFT.
  var implied: [String: OptionValue]
  var demands: [Demand]
  /// The field that says how the tensors started.
  var startField: String?
  /// Fields that change nothing in what is computed.
  var ignored: Set<String>
  /// What the method's plugin says of it; nil for those that are said here.
  var said: Dialect?

  /// Null, false, or empty.
  @Sendable static func isUnset(_ value: JSON) -> Bool {
    [.null, .bool(false), .array([]), .object([]), .string("")].contains(value)
  }

  /// By key: LoRA and what PEFT makes of it by a switch, and those of the registered methods.
  static func all(_ registry: MethodRegistry) -> [String: PEFTDialect] {
    Dictionary([lora, dora].map { ($0.key, $0) }) { first, _ in first }
      .merging(registry.axes.dialects.mapValues { PEFTDialect($0) }) { first, _ in first }
  }

  /// The dialect of a config's type and switches.
  static func of(_ config: JSON, _ registry: MethodRegistry) -> PEFTDialect? {
    all(registry).values.filter { dialect in
      config["peft_type"] == .string(dialect.peftType) && dialect.marks.allSatisfy { config[$0.key] == $0.value }
    }.max { $0.marks.count < $1.marks.count }
  }

  /// Every field that it understands.
  var fields: Set<String> {
    Self.common.union(ignored).union(options.keys).union(marks.keys).union(demands.map(\.field))
      .union(startField.map { [$0] } ?? [])
  }

  /// Fields of every config that are read by themselves.
  static let common: Set = [
    "peft_type", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "bias",
    "trainable_token_indices", "ensure_weight_tying", "task_type", AdapterRecord.key,
  ]

  private static let informative: Set = [
    "base_model_name_or_path", "revision", "auto_mapping", "peft_version", "inference_mode", "fan_in_fan_out",
  ]

  static let lora = PEFTDialect(
    key: "LORA", peftType: "LORA",
    options: [
      "r": 8, "lora_alpha": 8, "lora_dropout": 0.0, "use_rslora": false, "lora_bias": false, "rank_pattern": .object([]),
      "alpha_pattern": .object([]),
    ],
    implied: [:],
    demands: [
      Demand("use_dora"),
      Demand("target_parameters"), Demand("layer_replication"), Demand("velora_config"), Demand("kasa_config"),
      Demand("monteclora_config"), Demand("arrow_config"), Demand("use_bdlora"), Demand("use_qalora"),
      Demand("alora_invocation_tokens"),
    ],
    startField: "init_lora_weights",
    ignored: informative.union([
      "megatron_config", "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size",
      "runtime_config",
    ]))

  /// PEFT's LoRA with a switch; norms are constants under differentiation there.
  static let dora = {
    var dora = lora
    dora.key = "DORA"
    dora.marks = ["use_dora": true]
    dora.options["lora_bias"] = nil
    dora.implied = ["detach_norm": .bool(true)]
    dora.demands = lora.demands.filter { $0.field != "use_dora" } + [Demand("lora_bias")]
    return dora
  }()
}

extension PEFTDialect {
  /// What a plugin says, and what all methods of PEFT have in common.
  init(_ said: Dialect) {
    self.init(
      key: said.type, peftType: said.type, options: said.options.mapValues(\.json), implied: said.implied, demands: [],
      startField: nil, ignored: Self.informative.union(said.ignored), said: said)
  }
}

extension OptionValue {
  /// The value as a config file has it; nil for what is no option's value.
  init?(_ json: JSON) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .array(let items):
      let values = items.map { OptionValue($0) }
      guard !values.contains(nil) else { return nil }
      self = .list(values.compactMap { $0 })
    case .object(let members):
      var values: [String: OptionValue] = [:]
      for member in members {
        guard let value = OptionValue(member.value), values.updateValue(value, forKey: member.key) == nil else { return nil }
      }
      self = .map(values)
    }
  }

  var json: JSON {
    switch self {
    case .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .double(let value): .double(value)
    case .string(let value): .string(value)
    case .list(let values): .array(values.map(\.json))
    case .map(let values): .object(values.sorted { $0.key < $1.key }.map { .init($0.key, $0.value.json) })
    }
  }
}
