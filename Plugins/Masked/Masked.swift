import PEFTKernel

/// Masked tuning: some entries of each weight are trained, the others are not.
///
///     W' = W + s·F,   F zero but at k places chosen before training
///
/// - Projection: `MaskedEntries`. The places are stored, as they may depend on data.
/// - Start: `fill`, random places; or `LargestWeights`. Values are 0, so step 0 is the base.
/// - Trainable: the values.
public enum MaskedMethod {
  public static let plugin = Plugin("masked", projections: [MaskedEntries.definition], inits: [LargestWeights.definition])
}

extension MaskedEntries {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec(
      "rank", .integer(1...1 << 20), default: .int(32), "rank of the LoRA with as many numbers, r·(in + out)",
      aliases: [.init("r")]),
    OptionSpec(
      "density", .number(0...1, aboveLower: true), default: .null, "share of a weight's entries; null to follow from the rank"),
    OptionSpec(
      "scaling", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .double(1), "factor s of the change"),
  ]

  public init(_ options: Options) {
    self.init(
      size: options.optionalDouble("density").map(Size.density) ?? .rank(options.int("rank")),
      scaling: options.double("scaling"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "masked", "ΔW = s·F, F zero but for trained values at chosen places", options: options
  ) { (options) throws(Refusal) in MaskedEntries(options) }
}
