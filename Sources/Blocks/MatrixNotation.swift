import Engine

// The notation of the papers for products of matrices, so that an algorithm reads as it is printed. Nothing here is
// differentiated: it is for update rules and starts.

infix operator ⋅ : MultiplicationPrecedence

/// A matrix that takes part in a product as its transpose, which is never formed.
public struct Transposed: Sendable {
  let matrix: Tensor
}

extension Tensor {
  /// Mᵀ in a product.
  public var t: Transposed { Transposed(matrix: detached) }

  /// a·b for a [m, k], b [k, n].
  public static func ⋅ (a: Tensor, b: Tensor) -> Tensor { a.detached.multiplied(by: b.detached) }

  /// aᵀ·b for a [k, m], b [k, n].
  public static func ⋅ (a: Transposed, b: Tensor) -> Tensor {
    let product = Tensor.zeros([a.matrix.columns, b.columns], b.scalar)
    product.accumulateProduct(transposed: a.matrix, b)
    return product
  }

  /// a·bᵀ for a [m, k], b [n, k].
  public static func ⋅ (a: Tensor, b: Transposed) -> Tensor { a.detached.multiplied(byTransposeOf: b.matrix) }

  /// M + δ·I for a square M.
  public func damped(_ delta: Double) -> Tensor { delta == 0 ? self : self + .identity(rows, scalar) * delta }

  /// f of the entries of this tensor and those of another of its shape, one by one.
  public func combined(with other: Tensor, _ f: (Double, Double) -> Double) -> Tensor {
    precondition(count == other.count, "entries of shapes \(shape) and \(other.shape)")
    return Tensor(zip(values, other.values).map(f), shape: shape, scalar)
  }
}

extension Double {
  /// xⁿ for n of at least 0, by squaring.
  public func power(_ n: Int) -> Double {
    var (result, factor, rest) = (1.0, self, n)
    while rest > 0 {
      if rest & 1 == 1 { result *= factor }
      factor *= factor
      rest >>= 1
    }
    return result
  }
}
