import Engine
import PEFTKernel

/// The product of some rank that is nearest a target: U·diag(σ)·V ≈ M with U [m, r], V [r, n].
///
/// In the Frobenius norm that is the truncated decomposition of M. In the metric of C it is that of M·C^½, with V = V'·C^−½.
public struct BestPair: Sendable {
  /// U [m, r], orthonormal columns.
  public let left: Tensor
  /// σ [r], descending.
  public let values: [Double]
  /// V [r, n]; orthonormal rows in the Frobenius norm.
  public let right: Tensor
  /// ‖M − U·diag(σ)·V‖ in the target's metric.
  public let error: Double
  /// Whether no product of that rank comes nearer; not known where singular vectors were found by iteration.
  public let isBest: Bool

  public init(_ rank: Int, of target: Target, _ random: Philox) throws(Refusal) {
    let matrix = target.matrix
    guard matrix.isFinite else {
      throw Refusal("the matrix to start from is not finite, so its singular vectors do not exist", remedy: "check the data")
    }
    let rank = min(rank, min(matrix.rows, matrix.columns))
    switch target.metric {
    case .frobenius:
      let spectrum = try Spectral.leading(rank, of: target, random)
      (left, values, right) = (spectrum.u, spectrum.s, spectrum.v)
    case .gram(let gram):
      let root = try SymmetricRoot(gram)
      let weighted = matrix.converted(to: .float64).multiplied(by: root.root)
      let spectrum = try Spectral.leading(rank, of: Target(weighted, iterations: target.iterations), random)
      (left, values, right) = (spectrum.u, spectrum.s, spectrum.v.multiplied(by: root.inverse))
    }
    isBest = Spectral.isExact(rank, of: target)
    let near = left.multipliedByRow(Tensor(values, shape: [rank], left.scalar)).multiplied(by: right)
    error = target.metric.length(of: matrix.converted(to: near.scalar) - near)
  }

  /// B = U·√σ [m, r] and A = √σ·V [r, n]: the values shared out evenly.
  public var balanced: (up: Tensor, down: Tensor) {
    let roots = Tensor(values.map { $0.squareRoot() }, shape: [values.count], left.scalar)
    return (left.multipliedByRow(roots), right.multipliedByColumn(roots))
  }
}

extension BestPair {
  /// The balanced factors for `rank` directions: where that is more than there are to approximate, B has zeros in the columns that are
  /// left, beside rows of A as they are `drawn`, so that these can still be trained.
  public func balanced(to rank: Int, drawn: Tensor) -> (up: Tensor, down: Tensor) {
    let (up, down) = balanced
    guard rank > up.columns else { return (up, down) }
    let rest = drawn.slice(rows: up.columns..<rank).converted(to: down.scalar)
    return (.joinedColumns([up, .zeros([up.rows, rank - up.columns], up.scalar)]), .joinedRows([down, rest]))
  }
}

/// C^½ and its pseudo-inverse of a symmetric positive semi-definite C, in double.
public struct SymmetricRoot: Sendable {
  public let root: Tensor
  public let inverse: Tensor

  /// Directions whose eigenvalue is below `cut` of the largest have no inverse.
  public init(_ matrix: Tensor, cut: Double = 1e-12) throws(Refusal) {
    guard matrix.isFinite else { throw Refusal("the Gram matrix of the inputs is not finite", remedy: "check the data") }
    let u: Tensor
    let eigenvalues: [Double]
    // Of a symmetric positive semi-definite matrix singular values are eigenvalues.
    do { (u, eigenvalues, _) = try LinearAlgebra.svd(matrix.converted(to: .float64)) } catch { throw Refusal("\(error)") }
    let largest = eigenvalues.first ?? 0
    let roots = eigenvalues.map { $0.squareRoot() }
    let inverses = zip(eigenvalues, roots).map { $0 > cut * largest ? 1 / $1 : 0 }
    root = u.multipliedByRow(Tensor(roots, shape: [roots.count], .float64)).multiplied(byTransposeOf: u)
    inverse = u.multipliedByRow(Tensor(inverses, shape: [inverses.count], .float64)).multiplied(byTransposeOf: u)
  }
}
