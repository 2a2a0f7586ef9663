import CLAPACKE

/// What a decomposition could not do.
public struct LinearAlgebraError: Error, CustomStringConvertible {
  public var routine: String
  public var code: Int

  public var description: String { "\(routine) failed with code \(code): the matrix has non-finite entries or did not converge" }
}

/// Decompositions, in double whatever the tensor's scalar, for initial values and analysis. None is differentiated.
public enum LinearAlgebra {
  /// The thin decomposition M = U·diag(S)·V of M [m, n], k = min(m, n): U [m, k], S [k] descending, V [k, n].
  ///
  /// Signs are made canonical: the entry of largest magnitude in each column of U is positive.
  public static func svd(_ matrix: Tensor) throws(LinearAlgebraError) -> (u: Tensor, s: [Double], v: Tensor) {
    CPU.ready()
    let (m, n) = (matrix.rows, matrix.columns)
    let k = min(m, n)
    // Row-major M is Mᵀ column-major: ask for Mᵀ = V·S·Uᵀ and swap, which saves two transposed copies.
    var a = matrix.values
    guard a.allSatisfy(\.isFinite) else { throw LinearAlgebraError(routine: "dgesdd", code: -4) }
    var s = [Double](repeating: 0, count: k)
    let u = Tensor(uninitialized: [m, k], .float64)
    let v = Tensor(uninitialized: [k, n], .float64)
    let info = LAPACKE_dgesdd(
      LAPACK_COL_MAJOR, Int8(UInt8(ascii: "S")), Int32(n), Int32(m), &a, Int32(n), &s, v.f64, Int32(n),
      u.f64, Int32(k))
    guard info == 0 else { throw LinearAlgebraError(routine: "dgesdd", code: Int(info)) }
    orient(u, v)
    return (u.converted(to: matrix.scalar), s, v.converted(to: matrix.scalar))
  }

  /// Turns signs so that the entry of largest magnitude in each column of U [m, k] is positive; rows of V [k, n] follow. Both in double
  /// and in place.
  static func orient(_ u: Tensor, _ v: Tensor) {
    let (m, n, k) = (u.rows, v.columns, u.columns)
    for j in 0..<k {
      let peak = (0..<m).max { abs(u.f64[$0 * k + j]) < abs(u.f64[$1 * k + j]) } ?? 0
      guard m > 0, u.f64[peak * k + j] < 0 else { continue }
      for i in 0..<m { u.f64[i * k + j].negate() }
      for i in 0..<n { v.f64[j * n + i].negate() }
    }
  }

  /// The thin decomposition M = Q·R of M [m, n], k = min(m, n): Q [m, k] with orthonormal columns, R [k, n] upper
  /// triangular with a non-negative diagonal.
  public static func qr(_ matrix: Tensor) throws(LinearAlgebraError) -> (q: Tensor, r: Tensor) {
    CPU.ready()
    let (m, n) = (matrix.rows, matrix.columns)
    let k = min(m, n)
    var a = matrix.values
    var tau = [Double](repeating: 0, count: k)
    var info = LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, Int32(m), Int32(n), &a, Int32(n), &tau)
    guard info == 0 else { throw LinearAlgebraError(routine: "dgeqrf", code: Int(info)) }
    var r = [Double](repeating: 0, count: k * n)
    for i in 0..<k { for j in i..<n { r[i * n + j] = a[i * n + j] } }
    var q = [Double](repeating: 0, count: m * k)
    for i in 0..<m { for j in 0..<k { q[i * k + j] = a[i * n + j] } }
    info = LAPACKE_dorgqr(LAPACK_ROW_MAJOR, Int32(m), Int32(k), Int32(k), &q, Int32(k), tau)
    guard info == 0 else { throw LinearAlgebraError(routine: "dorgqr", code: Int(info)) }
    for j in 0..<k where r[j * n + j] < 0 {
      for i in 0..<n { r[j * n + i].negate() }
      for i in 0..<m { q[i * k + j].negate() }
    }
    return (Tensor(q, shape: [m, k], matrix.scalar), Tensor(r, shape: [k, n], matrix.scalar))
  }
}
