import Blocks
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
  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "masked", "ΔW = s·F, F zero but for trained values at chosen places", options: options
  ) { (options) throws(Refusal) in MaskedEntries(options) }
}
