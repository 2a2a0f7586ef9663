import Engine
import PEFTKernel

/// VeRA [arXiv:2310.11454]: rows of two frozen factors, scaled. θ_d = [λ_d (r), λ_b (out)], and
///
///     A = diag(λ_d)·P_A,   B = diag(λ_b)·P_B
///
/// PᵀP = diag(‖P_A[k]‖², ‖P_B[o]‖²): neither uniform nor isometric.
struct VeRAView: FactorMap {
  /// P_A [r, in] and P_B [out, r].
  let down: Tensor
  let up: Tensor

  var length: Int { down.rows + up.rows }
  var positions: Int { down.count + up.count }

  func project(_ theta: Tensor) -> Tensor {
    let a = down.converted(to: theta.scalar).multipliedByColumn(theta.slice(rows: 0..<down.rows))
    let b = up.converted(to: theta.scalar).multipliedByColumn(theta.slice(rows: down.rows..<length))
    return .joinedRows([a.reshaped([a.count]), b.reshaped([b.count])])
  }
}
