import CLAPACKE

extension LinearAlgebra {
  /// The solutions x of `count` independent systems A·x = b, A [n, n] symmetric and positive semi-definite, spread over the cores.
  ///
  /// A singular system, or one that rounding cannot tell from singular, has its least-squares solution of minimum norm.
  public static func solveEach(
    _ count: Int, _ system: (Int) -> (matrix: [Double], right: [Double])
  ) throws(LinearAlgebraError) -> [[Double]] {
    CPU.ready()
    var solutions = [Result<[Double], LinearAlgebraError>](repeating: .success([]), count: count)
    solutions.withUnsafeMutableBufferPointer { results in
      // Each index is written once.
      nonisolated(unsafe) let results = results
      Threads.each(count) { i in
        let (matrix, right) = system(i)
        results[i] = Result { () throws(LinearAlgebraError) in try solveNormal(matrix, right) }
      }
    }
    return try solutions.map { (result) throws(LinearAlgebraError) in try result.get() }
  }

  /// Smaller reciprocal condition numbers count as singular.
  private static let singular = 1e-12

  private static func solveNormal(_ matrix: [Double], _ right: [Double]) throws(LinearAlgebraError) -> [Double] {
    let n = Int32(right.count)
    guard n > 0 else { return [] }
    guard matrix.allSatisfy(\.isFinite), right.allSatisfy(\.isFinite) else {
      throw LinearAlgebraError(routine: "dpotrf", code: -4)
    }
    let lower = Int8(UInt8(ascii: "L"))
    var (a, x) = (matrix, right)
    // The 1-norm: the largest sum of magnitudes over a column.
    var norm = 0.0
    for start in stride(from: 0, to: matrix.count, by: right.count) {
      var sum = 0.0
      for value in matrix[start..<start + right.count] { sum += abs(value) }
      norm = max(norm, sum)
    }
    if LAPACKE_dpotrf(LAPACK_COL_MAJOR, lower, n, &a, n) == 0 {
      var reciprocal = 0.0
      let info = LAPACKE_dpocon(LAPACK_COL_MAJOR, lower, n, a, n, norm, &reciprocal)
      if info == 0, reciprocal > singular, LAPACKE_dpotrs(LAPACK_COL_MAJOR, lower, n, 1, a, n, &x, n) == 0 { return x }
    }
    (a, x) = (matrix, right)
    var values = [Double](repeating: 0, count: right.count)
    var rank: Int32 = 0
    let info = LAPACKE_dgelsd(LAPACK_COL_MAJOR, n, n, 1, &a, n, &x, n, &values, singular, &rank)
    guard info == 0 else { throw LinearAlgebraError(routine: "dgelsd", code: Int(info)) }
    return x
  }
}
