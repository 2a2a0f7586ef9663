import Engine
import PEFTKernel

/// A matrix as the product up·down, up [outputs, rank], down [rank, inputs].
struct FactorPair {
  var up: Tensor
  var down: Tensor

  var rank: Int { down.rows }

  /// A chain without its factors, cut where it is narrowest.
  init(_ chain: [any LinearMap]) {
    let maps = chain.map { $0.scaled.matrix }
    guard maps.count > 1 else {
      // One map: its narrower side is its rank at most.
      let whole = maps.first ?? .zeros([1, 1])
      let isWide = whole.columns >= whole.rows
      up = isWide ? .identity(whole.rows, whole.scalar) : whole
      down = isWide ? whole : .identity(whole.columns, whole.scalar)
      return
    }
    let cut = maps.indices.dropFirst().min { maps[$0].rows < maps[$1].rows } ?? 1
    func product(_ part: ArraySlice<Tensor>) -> Tensor {
      part.dropFirst().reduce(part[part.startIndex]) { $0.multiplied(by: $1) }
    }
    up = product(maps[..<cut])
    down = product(maps[cut...])
  }

  init(up: Tensor, down: Tensor) {
    self.up = up
    self.down = down
  }

  /// Several products as one: up factors side by side, down factors on top of each other.
  init(sumOf pairs: [FactorPair]) {
    up = .joinedColumns(pairs.map(\.up))
    down = .joinedRows(pairs.map(\.down))
  }

  /// The best approximation of rank k in the Frobenius norm, both factors of equal weight, and its relative error. In double.
  ///
  /// Costs O((outputs + inputs)·rank²): the singular values are those of the small middle of two QR decompositions.
  func best(rank k: Int) throws(LinearAlgebraError) -> (pair: FactorPair, error: Double) {
    let (left, right) = (
      try LinearAlgebra.qr(up.converted(to: .float64)), try LinearAlgebra.qr(down.converted(to: .float64).transposed)
    )
    let (u, s, v) = try LinearAlgebra.svd(left.r.multiplied(byTransposeOf: right.r))
    let k = min(k, s.count)
    let roots = Tensor(s.prefix(k).map { $0.squareRoot() }, .float64)
    let pair = FactorPair(
      up: left.q.multiplied(by: u.slice(columns: 0..<k)).multipliedByRow(roots),
      down: v.slice(rows: 0..<k).transposed.multipliedByRow(roots).transposed.multiplied(byTransposeOf: right.q))
    let (lost, all) = (s.dropFirst(k).reduce(0) { $0 + $1 * $1 }, s.reduce(0) { $0 + $1 * $1 })
    return (pair, all > 0 ? (lost / all).squareRoot() : 0)
  }
}
