import Engine
import PEFTKernel

/// Reads reference files of SNELL: one site, A and B off their start; `initial.bound` holds the bounds they start in.
enum SNELLGolden {
  static let reader = GoldenReader(reads: { $0.isOf("snell") }, read: read)

  @Sendable private static func read(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    var point = Tensors()
    var gradients: [String: TensorKey] = [:]
    for name in ["snell_A", "snell_B"] {
      let key = TensorKey(name, site.id)
      point[key] = try file.tensor("trainable." + name)
      gradients[name] = key
    }
    var problem = GoldenCase(
      entry: "snell", options: file.options, sites: [site], weights: [site.id: weight], point: point, gradients: gradients)
    problem.initial = ["bound": bounds]
    return problem
  }

  /// [β_A, β_B], as the layout states them.
  @Sendable private static func bounds(_ start: GoldenStart) throws(Refusal) -> Tensor {
    let bounds = start.layout.compactMap { spec -> Double? in
      guard case .uniform(let bound) = spec.fill else { return nil }
      return bound
    }
    return Tensor(bounds, .float64)
  }
}
