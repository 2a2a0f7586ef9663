import Engine
import PEFTKernel

/// The pair of some rank whose product is nearest a target: B·A ≈ M with B [m, r], A [r, n], their singular values shared out evenly.
///
/// In the Frobenius norm that is the truncated decomposition of M. In the metric of C it is that of M·C^½, times C^−½ on the right.
public struct BestPair: Sendable {
  /// A [r, n].
  public let down: Tensor
  /// B [m, r].
  public let up: Tensor
  /// ‖M − B·A‖ in the target's metric.
  public let error: Double
  /// Whether no pair of that rank comes nearer; not known where singular vectors were found by iteration.
  public let isExact: Bool

  public init(_ rank: Int, of target: Target, _ random: Philox) throws(Refusal) {
    let matrix = target.matrix
    guard matrix.isFinite else {
      throw Refusal("the matrix to start from is not finite, so its singular vectors do not exist", remedy: "check the data")
    }
    let rank = min(rank, min(matrix.rows, matrix.columns))
    switch target.metric {
    case .frobenius:
      let spectrum = try Spectral.leading(rank, of: target, random)
      let roots = Tensor(spectrum.s.map { $0.squareRoot() }, shape: [rank], spectrum.u.scalar)
      up = spectrum.u.multipliedByRow(roots)
      down = spectrum.v.multipliedByColumn(roots)
      isExact = Spectral.isExact(rank, of: target)
    case .gram(let gram):
      let root = try SymmetricRoot(gram)
      let weighted = matrix.converted(to: .float64).multiplied(by: root.root)
      let spectrum = try Spectral.leading(rank, of: Target(weighted, iterations: target.iterations), random)
      let roots = Tensor(spectrum.s.map { $0.squareRoot() }, shape: [rank], .float64)
      up = spectrum.u.multipliedByRow(roots)
      down = spectrum.v.multipliedByColumn(roots).multiplied(by: root.inverse)
      isExact = Spectral.isExact(rank, of: target)
    }
    error = target.metric.length(of: matrix.converted(to: up.scalar) - up.multiplied(by: down))
  }
}

/// C^½ and its pseudo-inverse of a symmetric positive semi-definite C.
public struct SymmetricRoot: Sendable {
  public let root: Tensor
  public let inverse: Tensor

  /// Directions whose eigenvalue is below `cut` of the largest have no inverse.
  public init(_ matrix: Tensor, cut: Double = 1e-12) throws(Refusal) {
    guard matrix.isFinite else { throw Refusal("the Gram matrix of the inputs is not finite", remedy: "check the data") }
    do {
      // Of a symmetric positive semi-definite matrix, singular values are eigenvalues and V = Uᵀ.
      let (u, s, _) = try LinearAlgebra.svd(matrix.converted(to: .float64))
      let largest = s.first ?? 0
      let roots = s.map { max(0, $0).squareRoot() }
      let inverses = zip(s, roots).map { $0 > cut * largest && $1 > 0 ? 1 / $1 : 0 }
      root = u.multipliedByRow(Tensor(roots, shape: [roots.count], .float64)).multiplied(byTransposeOf: u)
      inverse = u.multipliedByRow(Tensor(inverses, shape: [inverses.count], .float64)).multiplied(byTransposeOf: u)
    } catch {
      throw Refusal("\(error)")
    }
  }
}
