import Engine
import PEFTKernel

/// Every down factor from one of the three laws in use for Hydra; all else as the layout says, which makes B, biases and so the
/// branches zero.
struct BranchDraws: InitStrategy {
  var law: Law

  enum Law: String, CaseIterable {
    /// U(±√(6/(inputs + rank))): the code for images.
    case xavier
    /// U(±1/√inputs): the code for language.
    case kaiming
    /// N(0, 0.02²): the code for CLIP.
    case normal
  }

  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    guard projection is ParallelSequential else {
      throw Refusal("start branch-draws is that of projection parallel-sequential", remedy: "use init: { use: fill }")
    }
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    try check(layout, sites, projection)
    let specs = layout.map { spec in
      guard case .down = spec.role else { return spec }
      var spec = spec
      let (rank, inputs) = (Double(spec.shape[0]), Double(spec.shape[1]))
      switch law {
      case .xavier: spec.fill = .uniform(bound: (6 / (inputs + rank)).squareRoot())
      case .kaiming: spec.fill = .uniform(bound: 1 / inputs.squareRoot())
      case .normal: spec.fill = .normal(deviation: 0.02)
      }
      return spec
    }
    return Start(specs.filled(now))
  }

  static let definition = AxisDefinition<any InitStrategy>(
    "branch-draws", "A of both branches drawn, B and biases zero",
    options: [
      OptionSpec(
        "init_weights", .choice(Law.allCases.map(\.rawValue)), default: .string("xavier"),
        "A ~ U(±√(6/(inputs + rank))), U(±1/√inputs) or N(0, 0.02²)")
    ]
  ) { (options) throws(Refusal) in BranchDraws(law: Law(rawValue: options.string("init_weights")) ?? .xavier) }
}
