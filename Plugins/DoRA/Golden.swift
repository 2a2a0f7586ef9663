import Blocks
import Engine
import PEFTKernel

/// Reads reference files of DoRA by factored norms: one site; the terms of the norm stand under `given`.
enum DoRAGolden {
  static let reader = GoldenReader(reads: { $0.isOf("dora-factored") }, read: read)

  @Sendable private static func read(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    var problem = try LowRank.golden(file, entry: "dora")
    let (site, name) = (problem.sites[0].id, WeightDecomposed.Name.magnitude)
    problem.point[name, site] = try file.tensor("trainable." + name)
    problem.gradients[name] = TensorKey(name, site)
    problem.initial = [name: { (start) throws(Refusal) in start.start.tensors[name, site] }]
    problem.expected = [
      "given.base": term(of: problem.point) { lengths, _ in lengths.base },
      "given.cross": term(of: problem.point) { lengths, _ in lengths.cross },
      "given.gram": term(of: problem.point) { lengths, _ in lengths.gram },
      "given.norm": term(of: problem.point) { lengths, _ in lengths.value },
      "given.gain_minus_one": term(of: problem.point) { lengths, magnitude in (magnitude - lengths.value) / lengths.value },
    ]
    return problem
  }

  /// A term of the norm, by the routine that training uses, at the file's point.
  private static func term(
    of point: Tensors, _ pick: @escaping @Sendable (_ lengths: RowLengths, _ magnitude: Tensor) -> Tensor
  ) -> @Sendable (GoldenStart) throws(Refusal) -> Tensor {
    { (start) throws(Refusal) in
      guard let projection = start.parameterization.projection as? WeightDecomposed else {
        throw Refusal("the entry does not decompose weights")
      }
      let site = start.sites[0]
      return pick(
        projection.factoredLengths(point, at: site, on: start.bases[site.id]), point[WeightDecomposed.Name.magnitude, site.id])
    }
  }
}
