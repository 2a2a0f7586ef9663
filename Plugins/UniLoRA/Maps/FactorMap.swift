import Engine
import PEFTKernel

/// How a method of the LoRA family makes its factors from what it trains, in the one form they all share:
///
///     θ_D = P·θ_d + c
///
/// θ_D [D] strings together vec(A) and vec(B) of the sites, row-major, and θ_d [d] is what is trained. P [D, d] is applied by its
/// structure and never formed; its transpose is what the tape of `project` applies to a gradient.
protocol FactorMap: Sendable {
  /// d.
  var length: Int { get }
  /// D.
  var positions: Int { get }
  /// θ_d [d] ↦ θ_D [D]; differentiable.
  func project(_ theta: Tensor) -> Tensor
  /// Refuses draws and frozen tensors that make no such map. `project` relies on it.
  func check() throws(Refusal)
}

// What the laws and the reference files ask about a map. Everything is computed in double.
extension FactorMap {
  func check() throws(Refusal) {}

  /// c [D]: what is there without θ_d.
  var constant: Tensor { project(.zeros([length], .float64)) }

  /// Pᵀ·g [d] for g [D].
  func adjoint(_ g: Tensor) -> Tensor {
    let theta = Tensor.zeros([length], .float64).tracked()
    Tensor.backward([(project(theta), g.converted(to: .float64))])
    return theta.gradient ?? .zeros([length], .float64)
  }

  /// P [D, d], column by column.
  var matrix: Tensor {
    let constant = constant
    let columns = (0..<length).map { j in
      var unit = [Double](repeating: 0, count: length)
      unit[j] = 1
      return (project(Tensor(unit, .float64)) - constant).reshaped([1, positions])
    }
    return Tensor.joinedRows(columns).transposed
  }
}
