import Engine
import PEFTKernel

/// A matrix as factor·up·down, up [outputs, rank], down [rank, inputs].
struct FactorPair {
  var up: Tensor
  var down: Tensor
  var factor = 1.0

  var rank: Int { down.rows }

  init(up: Tensor, down: Tensor, factor: Double = 1) {
    self.up = up
    self.down = down
    self.factor = factor
  }

  /// A chain cut at its narrowest seam; nil where no seam is narrower than the matrix itself.
  ///
  /// The other maps are applied to the two thin factors beside the seam, so that a transform is never formed. What a factor keeps
  /// apart stays apart: two matrices and a scale are given back as they are.
  init?(_ chain: [any LinearMap]) {
    guard let first = chain.first, let last = chain.last,
      let seam = chain.indices.dropFirst().min(by: { chain[$0].outputs < chain[$1].outputs }),
      chain[seam].outputs < min(first.outputs, last.inputs)
    else { return nil }
    let (left, right) = (chain[seam - 1].scaled, chain[seam].scaled)
    up = left.matrix
    if seam > 1 { up = chain[..<(seam - 1)].reversed().reduce(left.matrix.transposed) { $1.apply($0) }.transposed }
    down = chain[(seam + 1)...].reduce(right.matrix) { $1.multiplied(from: $0) }
    factor = left.factor * right.factor
  }

  /// factor·up·down [outputs, inputs].
  var dense: Tensor { up.multiplied(by: down) * factor }
}

/// U·diag(S)·V of a matrix, in double, S descending.
struct Decomposition {
  let u: Tensor
  let s: [Double]
  let v: Tensor

  /// Of a sum of products, through the small middle of two QR decompositions: O((outputs + inputs)·rank²).
  init(up: Tensor, down: Tensor) throws(LinearAlgebraError) {
    let (left, right) = (try LinearAlgebra.qr(up), try LinearAlgebra.qr(down.transposed))
    let core = try LinearAlgebra.svd(left.r.multiplied(byTransposeOf: right.r))
    u = left.q.multiplied(by: core.u)
    s = core.s
    v = core.v.multiplied(byTransposeOf: right.q)
  }

  init(_ matrix: Tensor) throws(LinearAlgebraError) { (u, s, v) = try LinearAlgebra.svd(matrix) }

  /// ‖M‖ in the Frobenius norm.
  var size: Double { s.reduce(0) { $0 + $1 * $1 }.squareRoot() }

  /// ‖M − M_k‖ / ‖M‖ for the best approximation M_k of rank k; 0 for M = 0.
  func missed(rank k: Int) -> Double {
    let lost = s.dropFirst(k).reduce(0) { $0 + $1 * $1 }.squareRoot()
    return size > 0 ? lost / size : 0
  }

  /// The least rank that misses no more than a file's rounding hides, or than `noise`, an absolute length.
  func rank(noise: Double) -> Int {
    var lost = 0.0
    let most = max(Decomposition.hidden * size, noise)
    for k in s.indices.reversed() {
      lost += s[k] * s[k]
      if lost.squareRoot() > most { return k + 1 }
    }
    return 0
  }

  /// A sixtieth of the unit of F32: what is smaller cannot be told from the rounding of the factors.
  static let hidden = 1e-9

  /// The best approximation of rank k, both factors of equal weight.
  func pair(rank k: Int) -> FactorPair {
    let roots = Tensor(s.prefix(k).map { $0.squareRoot() }, .float64)
    return FactorPair(
      up: u.slice(columns: 0..<k).multipliedByRow(roots), down: v.slice(rows: 0..<k).multipliedByColumn(roots))
  }
}
