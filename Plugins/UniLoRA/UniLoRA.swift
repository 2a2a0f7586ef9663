import PEFTKernel

/// Uni-LoRA, "One Vector is All You Need" [arXiv:2506.00799].
///
///     y = x·Wᵀ + b + (x·Aᵀ)·Bᵀ,   all A and B of the model = P·θ_d,   PᵀP = I
///
/// - Projection: `OneVector`. Every factor entry is a rescaled copy of one entry of θ_d; a seeded list says of which. Random
///   projections that the paper compares this with can take its place.
/// - Start: `NearStart`. θ_d ~ U(±0.02), near the base and not at it, since every gradient vanishes at θ_d = 0.
/// - Trainable: θ_d alone, d numbers, whatever the model.
public enum UniLoRAMethod {
  public static let plugin = Plugin(
    "uni-lora", projections: [OneVector.definition],
    goldens: [UniLoRAGolden.oneSite, UniLoRAGolden.sharedSites, ViewGolden.reader], dialects: [dialect])

  static let dialect = Dialect(
    "UNILORA",
    options: [
      "r": .int(4), "theta_d_length": .int(256), "proj_seed": .int(42), "init_theta_d_bound": .double(0.02),
      "init_weights": .bool(true), "unilora_dropout": .double(0), "save_indices": .bool(false),
    ],
    implied: ["index_generator": .string("numpy")], redundant: ["unilora_scales_A", "unilora_scales_B"],
    counts: .init(of: "unilora_theta_d", option: "theta_d_length"))
}

extension OneVector {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec("rank", .integer(1...65_536), default: .int(4), "rank of every site's update", aliases: [.init("r")]),
    OptionSpec(
      "theta_d_length", .integer(1...longest), default: .null,
      "count of trained numbers d; null for a sixteenth of the factors' entries", aliases: [.init("d")]),
    OptionSpec(
      "map", .choice(Map.allCases.map(\.rawValue)), default: .string("uniform"),
      "how theta_d becomes the factors: copied (uniform), or by a random projection (fastfood; gaussian, dense, for small models)"
    ),
    OptionSpec("proj_seed", .integer(0...Int.max), default: .int(42), "seed of the index list, or of the projection"),
    OptionSpec(
      "index_generator", .choice(IndexGenerator.allCases.map(\.rawValue)), default: .string("philox"),
      "what draws the index list; numpy as in PEFT's files"),
    OptionSpec(
      "bound", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .double(0.02),
      "theta_d starts uniform in ±bound", aliases: [.init("init_theta_d_bound")]),
    OptionSpec(
      "init_weights", .boolean, default: .bool(true), "whether theta_d starts so small; false draws N(0, 1), for tests"),
    OptionSpec(
      "dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout on the branch's input, in training",
      aliases: [.init("unilora_dropout")]),
    OptionSpec("save_indices", .boolean, default: .bool(false), "whether files hold the index list, not only its seed"),
  ]

  /// Refuses options of an index list where the map has none.
  public init(_ options: Options) throws(Refusal) {
    let map = Map(rawValue: options.string("map")) ?? .uniform
    for (name, standard) in [("index_generator", OptionValue.string("philox")), ("save_indices", .bool(false))] {
      guard let value = options.values[name], map != .uniform, value != standard else { continue }
      throw Refusal(
        "\(name) is \(value.text), but map \(map.rawValue) has no index list",
        remedy: "leave \(name) out, or use map uniform")
    }
    self.init(
      rank: options.int("rank"), length: options.optionalInt("theta_d_length"), map: map, seed: UInt64(options.int("proj_seed")),
      generator: IndexGenerator(rawValue: options.string("index_generator")) ?? .philox,
      fill: options.bool("init_weights") ? .uniform(bound: options.double("bound")) : .normal(deviation: 1),
      dropout: options.double("dropout"), savesIndices: options.bool("save_indices"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "uni-lora", "all factors of the model copied from one trained vector", options: options
  ) { (options) throws(Refusal) in try OneVector(options) }
}
