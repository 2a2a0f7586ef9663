import CLAPACKE
import COpenBLAS

/// M = L·Lᵀ of a symmetric positive definite M [n, n], in double: solves with M without its inverse.
public struct Cholesky: Sendable {
  /// L, below the diagonal and on it; what stands above means nothing.
  private let factor: Tensor

  /// Reads the lower triangle of M. Fails where M is not positive definite, or not finite.
  public init(_ matrix: Tensor) throws(LinearAlgebraError) {
    precondition(matrix.rank == 2 && matrix.rows == matrix.columns, "Cholesky of shape \(matrix.shape)")
    CPU.ready()
    let n = Int32(matrix.rows)
    factor = Tensor(matrix.values, shape: matrix.shape, .float64)
    let info = LAPACKE_dpotrf(LAPACK_ROW_MAJOR, Int8(UInt8(ascii: "L")), n, factor.f64, n)
    guard info == 0 else { throw LinearAlgebraError(routine: "dpotrf", code: Int(info)) }
  }

  /// M⁻¹·b for b [n, k], in double.
  public func solve(_ b: Tensor) -> Tensor {
    precondition(b.rows == factor.rows, "a system of \(factor.rows) rows for \(b.shape)")
    return solved(b, CblasLeft, [CblasNoTrans, CblasTrans])
  }

  /// b·M⁻¹ for b [k, n], in double.
  public func solve(right b: Tensor) -> Tensor {
    precondition(b.columns == factor.rows, "a system of \(factor.rows) columns for \(b.shape)")
    return solved(b, CblasRight, [CblasTrans, CblasNoTrans])
  }

  private func solved(_ b: Tensor, _ side: CBLAS_SIDE, _ passes: [CBLAS_TRANSPOSE]) -> Tensor {
    let x = b.scalar == .float64 ? b.copied() : b.converted(to: .float64)
    for pass in passes {
      cblas_dtrsm(
        CblasRowMajor, side, CblasLower, pass, CblasNonUnit, blasint(x.rows), blasint(x.columns), 1, factor.f64,
        blasint(factor.rows), x.f64, blasint(x.columns))
    }
    return x
  }
}

extension LinearAlgebra {
  /// M = U·diag(values)·Uᵀ of a symmetric M [n, n], in double: values ascending, U [n, n] with one vector a column.
  public static func symmetricEigen(_ matrix: Tensor) throws(LinearAlgebraError) -> (values: [Double], vectors: Tensor) {
    precondition(matrix.rank == 2 && matrix.rows == matrix.columns, "eigenvalues of shape \(matrix.shape)")
    CPU.ready()
    let n = Int32(matrix.rows)
    var values = [Double](repeating: 0, count: matrix.rows)
    let vectors = Tensor(matrix.values, shape: matrix.shape, .float64)
    guard vectors.isFinite else { throw LinearAlgebraError(routine: "dsyevd", code: -5) }
    let info = LAPACKE_dsyevd(
      LAPACK_ROW_MAJOR, Int8(UInt8(ascii: "V")), Int8(UInt8(ascii: "L")), n, vectors.f64, n, &values)
    guard info == 0 else { throw LinearAlgebraError(routine: "dsyevd", code: Int(info)) }
    return (values, vectors)
  }

  /// The X of P·X + X·Q = C for symmetric, positive semidefinite P [n, n] and Q [m, m], in double.
  ///
  /// Where both P and Q are singular, the equation says nothing about X in the directions of their kernels: it is 0 there.
  public static func sylvester(_ p: Tensor, _ q: Tensor, _ c: Tensor) throws(LinearAlgebraError) -> Tensor {
    let (left, u) = try symmetricEigen(p)
    let (right, v) = try symmetricEigen(q)
    let floor = ((left.last ?? 0) + (right.last ?? 0)) * Double(left.count + right.count) * Double.ulpOfOne
    let inner = u.transposed.multiplied(by: c.converted(to: .float64)).multiplied(by: v)
    for i in left.indices {
      for j in right.indices {
        let sum = left[i] + right[j]
        inner.f64[i * right.count + j] = sum > floor ? inner.f64[i * right.count + j] / sum : 0
      }
    }
    return u.multiplied(by: inner).multiplied(byTransposeOf: v)
  }

  /// M⁺ [n, m] of M [m, n], in double: singular values up to `tolerance` of the largest count as none.
  public static func pseudoInverse(_ matrix: Tensor, tolerance: Double) throws(LinearAlgebraError) -> Tensor {
    let (u, s, v) = try svd(matrix.converted(to: .float64))
    let floor = (s.first ?? 0) * tolerance
    let inverses = s.map { $0 > floor ? 1 / $0 : 0 }
    return v.transposed.multipliedByRow(Tensor(inverses, .float64)).multiplied(byTransposeOf: u)
  }
}
