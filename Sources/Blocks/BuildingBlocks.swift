import PEFTKernel

/// What this room registers itself: the optimizer that serves anything, and the starts that go with any projection that can approximate
/// a matrix.
public enum BuildingBlocks {
  public static let plugin = Plugin(
    "blocks",
    inits: [
      GradientTarget.definition, FirstStepTarget.definition, PrincipalTarget.definition, QuantizationErrorTarget.definition,
      NearStart.definition,
    ],
    optimizers: [AdamW.definition], goldens: [QuantizationGolden.reader, .ofPairs([AdamW.definition])])
}
