import PEFTKernel

/// SNELL, "Expanding Sparse Tuning for Low Memory Usage" [NeurIPS 2024, arXiv:2411.01800].
///
///     y = x·(W + ΔW)ᵀ + b,   ΔW = D ∘ gate(D),   D[o, i] = c·(‖A₀[i] − B₀[o]‖ − ‖A₁[i] − B₁[o]‖)
///
/// - Projection: `MergedDistances`. Two thin matrices become one of full rank, of which the largest entries survive.
/// - Start: `NearStart`. A ~ U(±1/√(in·q)), B ~ U(±1/√(out·q)), q = r/2: |D| ≤ c·(1/√in + 1/√out). Not at the base: where
///   A and B meet, distances have no slope.
/// - Trainable: A and B, r·(in + out) numbers a site, as LoRA's. No mask, index or threshold: they follow from A and B.
public enum SNELLMethod {
  public static let plugin = Plugin("snell", projections: [MergedDistances.definition], goldens: [SNELLGolden.reader])
}

extension MergedDistances {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec(
      "rank", .integer(2...65_536), default: .int(8), "columns of both pieces of A, and of B, together; even",
      aliases: [.init("r")]),
    OptionSpec(
      "sparsity", .number(0...1, belowUpper: true), default: .double(0.9),
      "share of the update's entries that are 0; at 0 nothing is gated"),
    OptionSpec(
      "gate", .choice(Gate.allCases.map(\.rawValue)), default: .string("hard"),
      "what a surviving entry is multiplied by: its size (hard), or its size beyond the threshold (soft)"),
    OptionSpec(
      "scale", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .double(0.1), "c, of the distances"),
    OptionSpec(
      "input_dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout on the update's input, in training",
      aliases: [.init("dropout")]),
    OptionSpec(
      "drop_path", .number(0...1, belowUpper: true), default: .double(0),
      "probability with which a sequence goes without the update, in training"),
  ]

  public init(_ options: Options) throws(Refusal) {
    let rank = options.int("rank")
    guard rank.isMultiple(of: 2) else {
      throw Refusal(
        "rank is \(rank), but must be even: half of it belongs to each piece of the kernel",
        remedy: "use \(rank - 1) or \(rank + 1)")
    }
    self.init(
      rank: rank, sparsity: options.double("sparsity"), gate: Gate(rawValue: options.string("gate")) ?? .hard,
      coefficient: options.double("scale"), dropout: options.double("input_dropout"), dropPath: options.double("drop_path"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "kernel-merge", "ΔW of full rank from the distances between the rows of two thin matrices; the largest entries survive",
    options: options
  ) { (options) throws(Refusal) in try MergedDistances(options) }
}
