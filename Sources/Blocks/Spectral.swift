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
      guard isExact else {
        return try iterated(matrix, random, columns: columns ?? 4 * count, iterations: iterations)
      }
      // Most of a whole decomposition would be thrown away.
      if 4 * count < min(matrix.rows, matrix.columns), let found = try LinearAlgebra.leading(count, of: matrix) { return found }
      return try LinearAlgebra.svd(matrix)
    } catch {
      throw Refusal("\(error)")
    }
  }

  /// Triples of M within the span of (M·Mᵀ)ⁱ·M·Ω for a random Ω, or of Mᵀ where M is wide: orthonormal after every product.
  private static func iterated(
    _ matrix: Tensor, _ random: Philox, columns: Int, iterations: Int
  ) throws(LinearAlgebraError) -> (u: Tensor, s: [Double], v: Tensor) {
    let isWide = matrix.rows < matrix.columns
    func there(_ x: Tensor) -> Tensor { isWide ? matrix.transposedProduct(x) : matrix.multiplied(by: x) }
    func back(_ x: Tensor) -> Tensor { isWide ? matrix.multiplied(by: x) : matrix.transposedProduct(x) }
    var random = random
    let sketch = random.normal([min(matrix.rows, matrix.columns), columns], deviation: 1, matrix.scalar)
    var basis = try LinearAlgebra.qr(there(sketch)).q
    for _ in 0..<iterations { basis = try LinearAlgebra.qr(there(LinearAlgebra.qr(back(basis)).q)).q }
    // M, or Mᵀ, is basis·coreᵀ within the span.
    let core = try LinearAlgebra.svd(back(basis))
    let long = basis.multiplied(byTransposeOf: core.v)
    guard !isWide else { return (core.u, core.s, long.transposed) }
    let (u, signs) = oriented(long)
    return (u, core.s, core.u.transposed.multipliedByColumn(signs))
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

extension Tensor {
  /// Mᵀ·x for M [m, n] and x [m, k], without Mᵀ.
  fileprivate func transposedProduct(_ x: Tensor) -> Tensor {
    let y = Tensor.zeros([columns, x.columns], scalar)
    y.accumulateProduct(transposed: self, x)
    return y
  }
}
