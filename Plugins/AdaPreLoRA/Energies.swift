import Blocks
import Engine
import PEFTKernel

extension AdaPreLoRARule {
  /// ρ [out] and κ [in]: means over the columns, and over the rows, of G² + ε₁.
  ///
  /// Nil where they are to be measured and nobody did, although there is a gradient.
  func energies(of p: PairStep) -> (rows: Tensor, columns: Tensor)? {
    let sums: Energies
    switch statistics {
    case .gradient:
      if let measured = p.energies {
        sums = measured
      } else {
        // A pair that took no part in the step has no energies, nor gradients.
        guard p.gradA.largestMagnitude == 0, p.gradB.largestMagnitude == 0 else { return nil }
        sums = Energies(rows: .init(repeating: 0, count: p.b.rows), columns: .init(repeating: 0, count: p.a.columns))
      }
    case .surrogate: sums = Self.surrogate(p)
    }
    // Sums of squares that came about in other ways than by squaring may come out just below 0.
    func mean(_ sums: [Double], over count: Int) -> Tensor { Tensor(sums.map { max($0, 0) / Double(count) + eps }, .float64) }
    return (mean(sums.rows, over: p.a.columns), mean(sums.columns, over: p.b.rows))
  }

  /// The energies of G̃ = g_B·A + B·g_A = U·Z with U = [g_B, B] [out, 2r], Z = [A; g_A] [2r, in], which is not formed:
  /// Σ_j G̃² is the row sums of (U·(Z·Zᵀ)) ⊙ U, Σ_i G̃² the column sums of ((Uᵀ·U)·Z) ⊙ Z.
  static func surrogate(_ p: PairStep) -> Energies {
    let u = Tensor.joinedColumns([p.gradB, p.b])
    let z = Tensor.joinedRows([p.a, p.gradA])
    let rows = ((u ⋅ (z ⋅ z.t)) * u) ⋅ Tensor(repeating: 1, shape: [u.columns, 1], .float64)
    let columns = Tensor(repeating: 1, shape: [1, z.rows], .float64) ⋅ (((u.t ⋅ u) ⋅ z) * z)
    return Energies(rows: rows.values, columns: columns.values)
  }
}

/// The roots of energies and their inverses, [n]; where no gradient ever came, there is nothing to divide, and both are 0.
struct Roots {
  let root: Tensor
  let inverse: Tensor

  init(_ energies: Tensor) {
    let roots = energies.values.map { $0.squareRoot() }
    root = Tensor(roots, .float64)
    inverse = Tensor(roots.map { $0 > 0 ? 1 / $0 : 0 }, .float64)
  }
}
