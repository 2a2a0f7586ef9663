import Engine
import PEFTKernel

extension BestPair {
  /// The product nearest a target in front of a fixed factor S [k, n]: U·diag(σ)·V·S ≈ M with U [m, r], V [r, k].
  ///
  /// In the metric of C (the identity for Frobenius), ‖M − X·S‖ is least over all X of that rank for
  /// X = [M·C·Sᵀ·N^−½]_r·N^−½ with N = S·C·Sᵀ, [·]_r the truncated decomposition.
  public init(_ rank: Int, before fixed: Tensor, of target: Target, _ random: Philox) throws(Refusal) {
    let matrix = target.matrix.converted(to: .float64)
    guard matrix.isFinite else {
      throw Refusal("the matrix to start from is not finite, so its singular vectors do not exist", remedy: "check the data")
    }
    let s = fixed.converted(to: .float64)
    let weighted: Tensor
    switch target.metric {
    case .frobenius: weighted = s.transposed
    case .gram(let gram): weighted = gram.converted(to: .float64).multiplied(byTransposeOf: s)
    }
    let root = try SymmetricRoot(s.multiplied(by: weighted))
    let reached = Target(
      matrix.multiplied(by: weighted).multiplied(by: root.inverse), iterations: target.iterations)
    let core = try BestPair(rank, of: reached, random)
    (left, values, right, isBest) = (core.left, core.values, core.right.multiplied(by: root.inverse), core.isBest)
    let near = left.multipliedByRow(Tensor(values, .float64)).multiplied(by: right.multiplied(by: s))
    error = target.metric.length(of: matrix - near)
  }
}
