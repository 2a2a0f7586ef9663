import CLAPACKE

extension LinearAlgebra {
  /// U, upper triangular, with H⁻¹ = UᵀU for a symmetric positive definite H [n, n]; refuses one that is not. In double.
  public static func inverseFactor(_ matrix: Tensor) throws(LinearAlgebraError) -> Tensor {
    CPU.ready()
    let n = matrix.rows
    let u = matrix.scalar == .float64 ? matrix.copied() : matrix.converted(to: .float64)
    // The lower triangle by columns is the upper one by rows.
    let lower = Int8(UInt8(ascii: "L"))
    let order = Int32(n)
    for (routine, step) in [
      ("dpotrf", { LAPACKE_dpotrf(LAPACK_COL_MAJOR, lower, order, u.f64, order) }),
      ("dpotri", { LAPACKE_dpotri(LAPACK_COL_MAJOR, lower, order, u.f64, order) }),
      ("dpotrf", { LAPACKE_dpotrf(LAPACK_COL_MAJOR, lower, order, u.f64, order) }),
    ] {
      let info = step()
      guard info == 0 else { throw LinearAlgebraError(routine: routine, code: Int(info)) }
    }
    for i in 0..<n { for j in 0..<i { u.f64[i * n + j] = 0 } }
    return u
  }

  /// The largest eigenvalue of a symmetric matrix [n, n], n > 0.
  public static func largestEigenvalue(_ matrix: Tensor) throws(LinearAlgebraError) -> Double {
    CPU.ready()
    let n = Int32(matrix.rows)
    var a = matrix.values
    guard a.allSatisfy(\.isFinite) else { throw LinearAlgebraError(routine: "dsyevr", code: -6) }
    var (found, value, vector): (Int32, [Double], Double) = (0, [Double](repeating: 0, count: matrix.rows), 0)
    var support = [Int32](repeating: 0, count: 2)
    let info = LAPACKE_dsyevr(
      LAPACK_COL_MAJOR, Int8(UInt8(ascii: "N")), Int8(UInt8(ascii: "I")), Int8(UInt8(ascii: "L")), n, &a, n, 0, 0, n, n, 0,
      &found, &value, &vector, 1, &support)
    guard info == 0, found == 1 else { throw LinearAlgebraError(routine: "dsyevr", code: Int(info)) }
    return value[0]
  }
}
