import CLAPACKE
import COpenBLAS

extension LinearAlgebra {
  /// Smaller shares of the largest singular value are lost in the squares.
  private static let lost = 1e-5

  /// The `count` leading singular triples of M [m, n]: U [m, count], S descending, V [count, n]; signs as in `svd`. Nil where they
  /// are too far apart for squares of M to tell.
  ///
  /// Eigenvectors of M·Mᵀ, or of Mᵀ·M where that is smaller, span what is sought; the triples are then those of M within that span.
  /// Of few triples that takes a fifth of the time of a whole decomposition, and their errors are those of double precision times the
  /// ratio of the largest to the smallest.
  public static func leading(_ count: Int, of matrix: Tensor) throws(LinearAlgebraError) -> (u: Tensor, s: [Double], v: Tensor)? {
    CPU.ready()
    let whole = matrix.detached.converted(to: .float64)
    let isWide = whole.rows <= whole.columns
    let side = min(whole.rows, whole.columns)
    guard count > 0, count <= side else { return nil }
    guard whole.isFinite else { throw LinearAlgebraError(routine: "dsyevr", code: -6) }
    let gram = Tensor(uninitialized: [side, side], .float64)
    cblas_dsyrk(
      CblasRowMajor, CblasLower, isWide ? CblasNoTrans : CblasTrans, blasint(side), blasint(max(whole.rows, whole.columns)), 1,
      whole.f64, blasint(whole.columns), 0, gram.f64, blasint(side))
    let span = try leadingEigenvectors(count, of: gram)
    if isWide {
      let (core, s, v) = try svd(span.multiplied(by: whole))
      guard let last = s.last, let first = s.first, last > lost * first else { return nil }
      let u = Tensor.zeros([side, count], .float64)
      u.accumulateProduct(transposed: span, core)
      orient(u, v)
      return (u.converted(to: matrix.scalar), s, v.converted(to: matrix.scalar))
    }
    let (u, s, core) = try svd(whole.multiplied(byTransposeOf: span))
    guard let last = s.last, let first = s.first, last > lost * first else { return nil }
    return (u.converted(to: matrix.scalar), s, core.multiplied(by: span).converted(to: matrix.scalar))
  }

  /// Those of the largest eigenvalues of a symmetric matrix [n, n], one a row [count, n]. Reads the lower triangle, and writes over it.
  private static func leadingEigenvectors(_ count: Int, of matrix: Tensor) throws(LinearAlgebraError) -> Tensor {
    let n = Int32(matrix.rows)
    let vectors = Tensor(uninitialized: [count, matrix.rows], .float64)
    var values = [Double](repeating: 0, count: matrix.rows)
    var support = [Int32](repeating: 0, count: 2 * count)
    var found: Int32 = 0
    // The lower triangle by rows is the upper one by columns.
    let info = LAPACKE_dsyevr(
      LAPACK_COL_MAJOR, Int8(UInt8(ascii: "V")), Int8(UInt8(ascii: "I")), Int8(UInt8(ascii: "U")), n, matrix.f64, n, 0, 0,
      n - Int32(count) + 1, n, 0, &found, &values, vectors.f64, n, &support)
    guard info == 0, found == Int32(count) else { throw LinearAlgebraError(routine: "dsyevr", code: Int(info)) }
    return vectors
  }
}
