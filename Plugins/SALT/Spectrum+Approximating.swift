import Blocks
import Engine
import PEFTKernel

extension Spectrum: Approximating {
  /// Without ReLU the change is U·(diag(δ) ⊕ X·Y)·V, and T = Uᵀ·M·Vᵀ splits what is to be reached: δ takes the top's diagonal
  /// exactly, X·Y the best rank r of the rest's block. U and V do not stretch, so that is best over all.
  public func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    guard !clips else {
      throw Refusal(
        "a start from a matrix has no answer in closed form where the core is cut off at zero (relu: true)",
        remedy: "use relu: false, or init: { use: unchanged-spectrum }")
    }
    guard case .frobenius = target.metric else {
      throw Refusal(
        "salt cannot be started near a matrix in the metric of the inputs' Gram matrix: in it the singular vectors of the weight "
          + "are not orthogonal, so top and rest do not separate",
        remedy: "use metric: frobenius")
    }
    let (_, p, m) = sizes(at: site)
    let matrix = target.matrix.converted(to: .float64)
    let (u, v) = (derived["svd_u", site.id].converted(to: .float64), derived["svd_vt", site.id].converted(to: .float64))
    let core = u.transposed.multiplied(by: matrix).multiplied(byTransposeOf: v)
    var tensors = layout.filled(Moment())
    tensors.values.merge(derived.values.filter { $0.key.scope == .site(site.id) }) { $1 }
    let diagonal = (0..<p).map { core.slice(rows: $0..<$0 + 1).values[$0] }
    tensors["salt_scale", site.id] = Tensor(repeating: 1, shape: [p])
    tensors["salt_shift", site.id] = Tensor(diagonal)
    var change = u.slice(columns: 0..<p).multipliedByRow(Tensor(diagonal, .float64)).multiplied(by: v.slice(rows: 0..<p))
    var isBest = true
    if m > 0 {
      let rest = core.slice(rows: p..<p + m).slice(columns: p..<p + m)
      let best = try BestPair(rank, of: Target(rest, iterations: target.iterations), random)
      let (up, down) = best.balanced
      isBest = best.isBest
      let mixed = u.slice(columns: p..<p + m).multiplied(by: up)
      change = change + mixed.multiplied(by: down.multiplied(by: v.slice(rows: p..<p + m)))
      tensors["lora_X", site.id] = padded(up.converted(to: .float32), with: tensors["lora_X", site.id])
      let lacking = Tensor.zeros([rank - down.rows, m])
      tensors["lora_Y", site.id] = .joinedRows([down.converted(to: .float32), lacking])
    }
    return Approximation(tensors, error: target.metric.length(of: matrix - change), isBest: isBest)
  }

  /// A rank above the block's own leaves columns of X over; they stay as drawn, beside zeros in Y.
  private func padded(_ up: Tensor, with drawn: Tensor) -> Tensor {
    up.columns == rank ? up : .joinedColumns([up, drawn.slice(columns: up.columns..<rank)])
  }
}
