import Engine
import PEFTKernel

/// LoRA-XS [arXiv:2405.17604]: a core R [r, r] between frozen directions of the weight. θ_d = vec(R), and
///
///     A = V,   B = L·R
///
/// so P = [0; L ⊗ I_r] and c = [vec(V); 0]. PᵀP = LᵀL ⊗ I_r: isometric only where L has orthonormal columns.
struct LoRAXSView: FactorMap {
  /// L [out, r] and V [r, in].
  let left: Tensor
  let right: Tensor

  private var rank: Int { left.columns }
  var length: Int { rank * rank }
  var positions: Int { right.count + left.count }

  func project(_ theta: Tensor) -> Tensor {
    let b = left.converted(to: theta.scalar).multiplied(by: theta.reshaped([rank, rank]))
    return .joinedRows([right.converted(to: theta.scalar).reshaped([right.count]), b.reshaped([b.count])])
  }

  func check() throws(Refusal) {
    guard right.rows == rank else { throw Refusal("\(rank) left directions meet \(right.rows) right ones") }
  }
}
