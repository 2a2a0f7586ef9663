import PEFTKernel

/// Queryable LoRA, "Instruction-Regularized Routing Over Shared Low-Rank Update Atoms" [arXiv:2605.08423].
///
///     y = x·Wᵀ + b + s·B·(R·(A·x)),   R = Σ_m α_m·U_m,   s = alpha/r
///
/// - Projection: `RoutedAtoms`. Every token mixes its core R from M atoms shared by all sites; α is in `Router.swift`.
/// - Start: as the layout says. A ~ U(±1/√in), B = 0: step 0 is the base; U_m = I + N(0, 0.02²): training starts as LoRA's.
/// - Trainable: A and B of every site, the atoms, and what routes: Σ r·(in + out) + M·r² + M·d + 2·r·d + r·(blocks − 1)
///   + d·e numbers, for keys of d and an instruction of e numbers.
public enum QueryableLoRAMethod {
  public static let plugin = Plugin("queryable-lora", projections: [RoutedAtoms.definition], goldens: [QueryableGolden.reader])
}

extension RoutedAtoms {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec("rank", .integer(1...65_536), default: .int(8), "rank of every site's update", aliases: [.init("r")]),
    OptionSpec(
      "alpha", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .null,
      "numerator of the scale; null for twice the rank", aliases: [.init("lora_alpha")]),
    OptionSpec("num_atoms", .integer(1...65_536), default: .int(16), "size of the shared memory", aliases: [.init("atoms")]),
    OptionSpec("key_dim", .integer(1...65_536), default: .int(16), "width of queries and keys"),
    OptionSpec("top_k", .integer(1...65_536), default: .int(4), "atoms mixed for a token"),
    OptionSpec(
      "layers_per_block", .integer(1...Int.max), default: .int(4),
      "layers that share a routing; a model without layers routes at every site"),
    OptionSpec(
      "instruction", .embedding, default: .list([]),
      "what the run is about, which biases the routing: in words, or as an embedding"),
    OptionSpec(
      "prior_weight", .number(0...Double.greatestFiniteMagnitude), default: .null,
      "strength of the instruction; null for 1 where there is one"),
    OptionSpec(
      "temperature", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .double(1), "of the routing"),
    OptionSpec(
      "granularity", .choice(Granularity.allCases.map(\.rawValue)), default: .string("token"), "what routes for itself"),
    OptionSpec(
      "prior_kl", .number(0...Double.greatestFiniteMagnitude), default: .double(0),
      "weight in the loss of the routing's divergence from the instruction's prior"),
    OptionSpec(
      "detach_summary", .boolean, default: .bool(false), "whether gradients stop at the states of earlier blocks"),
    OptionSpec(
      "dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout on the branch's input, in training",
      aliases: [.init("lora_dropout")]),
  ]

  public init(_ options: Options) throws(Refusal) {
    guard options.optionalString("instruction") == nil else {
      throw Refusal("the instruction is a text, which only a model's tokens turn into numbers", remedy: "give a list of numbers")
    }
    let instruction = options.doubles("instruction")
    self.init(
      rank: options.int("rank"), alpha: options.optionalDouble("alpha"), atoms: options.int("num_atoms"),
      keyWidth: options.int("key_dim"), choices: options.int("top_k"), layersPerBlock: options.int("layers_per_block"),
      instruction: instruction, priorWeight: options.optionalDouble("prior_weight"),
      temperature: options.double("temperature"),
      granularity: Granularity(rawValue: options.string("granularity")) ?? .token,
      divergenceWeight: options.double("prior_kl"), detachesSummary: options.bool("detach_summary"),
      dropout: options.double("dropout"))
    guard choices <= atoms else {
      throw Refusal("top_k is \(choices), but there are \(atoms) atoms", remedy: "use a top_k from 1 to num_atoms")
    }
    for (name, value) in [("prior_weight", priorWeight), ("prior_kl", divergenceWeight)] where value > 0 && instruction.isEmpty {
      throw Refusal("\(name) is \(value), but there is no instruction", remedy: "give an instruction, or set \(name) to 0")
    }
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "queryable-atoms", "cores between A and B, mixed for each token from a shared memory", options: options
  ) { (options) throws(Refusal) in try RoutedAtoms(options) }
}
