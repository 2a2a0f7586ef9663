import Engine

/// How much two sparse adapters A₁ and A₂ [out, in] of one weight get in each other's way: what A₁ᵀ·A₂ is [arXiv:2406.13175, §4.2].
public struct Interference: Sendable, Hashable {
  /// AWOM = ‖A₁ᵀ·A₂‖, the spectral norm; and the Frobenius norm.
  public let spectral: Double
  public let frobenius: Double
  /// AWOR = 1 − ‖A₁ᵀ·A₂‖₀/in²: the share of exact zeros.
  public let orthogonality: Double

  /// From values [k] at their places. Costs Σ_i k₁(i)·k₂(i) multiplications over rows i, and a decomposition of [in, in].
  public init(
    _ first: (values: Tensor, places: SparsePlaces), _ second: (values: Tensor, places: SparsePlaces)
  ) throws(LinearAlgebraError) {
    let width = first.places.inputs
    var product = [Double](repeating: 0, count: width * width)
    let (a, b) = (Self.rows(first), Self.rows(second))
    for (own, other) in zip(a, b) {
      for x in own { for y in other { product[x.column * width + y.column] += x.value * y.value } }
    }
    spectral = try LinearAlgebra.svd(Tensor(product, shape: [width, width], .float64)).s[0]
    frobenius = product.reduce(0) { $0 + $1 * $1 }.squareRoot()
    orthogonality = 1 - Double(product.count { $0 != 0 }) / Double(width * width)
  }

  private static func rows(_ adapter: (values: Tensor, places: SparsePlaces)) -> [[(column: Int, value: Double)]] {
    let (values, index) = (adapter.values.values, adapter.places.index.values)
    var rows = [[(column: Int, value: Double)]](repeating: [], count: adapter.places.outputs)
    for (entry, value) in values.enumerated() {
      rows[Int(index[entry])].append((Int(index[values.count + entry]), value))
    }
    return rows
  }
}
