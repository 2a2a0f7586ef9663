import Engine
import PEFTKernel

/// The leading part of a singular value decomposition, M ≈ U·diag(S)·V.
public struct Spectral: Sendable {
  /// U [m, k], one singular vector a column; the entry of largest magnitude in each is positive.
  public let u: Tensor
  /// S [k], descending.
  public let s: [Double]
  /// V [k, n], one singular vector a row.
  public let v: Tensor

  /// From this size of the shorter side on, singular vectors are found by iteration.
  public static let exactUpTo = 1024

  /// The `count` leading singular triples of M [m, n]: exact where its shorter side is small, else by randomised
  /// subspace iteration with 4·count columns and four power iterations. `random` decides the subspace.
  public static func leading(_ count: Int, of matrix: Tensor, _ random: Philox, exactUpTo: Int = exactUpTo) throws(Refusal)
    -> Spectral
  {
    let side = min(matrix.rows, matrix.columns)
    let (u, s, v) = try triples(count, of: matrix, random, isExact: side <= exactUpTo || 4 * count >= side)
    guard count < s.count else { return Spectral(u: u, s: s, v: v) }
    return Spectral(u: u.slice(columns: 0..<count), s: Array(s[..<count]), v: v.slice(rows: 0..<count))
  }

  /// The leading triples of a target: found with its own number of power iterations where it names one, `count` columns and no more.
  public static func leading(_ count: Int, of target: Target, _ random: Philox) throws(Refusal) -> Spectral {
    guard let iterations = target.iterations else { return try leading(count, of: target.matrix, random) }
    let (u, s, v) = try triples(count, of: target.matrix, random, isExact: false, columns: count, iterations: iterations)
    return Spectral(u: u, s: s, v: v)
  }

  /// Whether the leading triples of a target are found exactly.
  public static func isExact(_ count: Int, of target: Target) -> Bool {
    let side = min(target.matrix.rows, target.matrix.columns)
    return target.iterations == nil && (side <= exactUpTo || 4 * count >= side)
  }

  private static func triples(
    _ count: Int, of matrix: Tensor, _ random: Philox, isExact: Bool, columns: Int? = nil, iterations: Int = 4
  ) throws(Refusal) -> (u: Tensor, s: [Double], v: Tensor) {
    do {
      guard !isExact else { return try LinearAlgebra.svd(matrix) }
      if matrix.rows < matrix.columns {
        let turned = try triples(count, of: matrix.transposed, random, isExact: false, columns: columns, iterations: iterations)
        let (u, signs) = oriented(turned.v.transposed)
        return (u, turned.s, turned.u.transposed.multipliedByColumn(signs))
      }
      var random = random
      let sketch = random.normal([matrix.columns, columns ?? 4 * count], deviation: 1, matrix.scalar)
      var basis = try LinearAlgebra.qr(matrix.multiplied(by: sketch)).q
      let transposed = matrix.transposed
      for _ in 0..<iterations {
        let other = try LinearAlgebra.qr(transposed.multiplied(by: basis)).q
        basis = try LinearAlgebra.qr(matrix.multiplied(by: other)).q
      }
      let (core, s, v) = try LinearAlgebra.svd(basis.transposed.multiplied(by: matrix))
      let (u, signs) = oriented(basis.multiplied(by: core))
      return (u, s, v.multipliedByColumn(signs))
    } catch {
      throw Refusal("\(error)")
    }
  }

  /// U with the sign of each column turned so that its entry of largest magnitude is positive, and those signs.
  private static func oriented(_ u: Tensor) -> (u: Tensor, signs: Tensor) {
    let (values, width) = (u.values, u.columns)
    let signs = (0..<width).map { j -> Double in
      let peak = (0..<u.rows).max { abs(values[$0 * width + j]) < abs(values[$1 * width + j]) } ?? 0
      return values[peak * width + j] < 0 ? -1 : 1
    }
    let row = Tensor(signs, shape: [width], u.scalar)
    return (u.multipliedByRow(row), row)
  }
}
