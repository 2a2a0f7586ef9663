import Engine
import PEFTKernel

/// Uni-LoRA's P: one entry a row.
///
///     θ_D[p] = θ_d[index[p]] / √n_{index[p]},   n_j = |{p : index[p] = j}|
///
/// PᵀP = I where every entry of θ_d is used. O(D), whatever d.
struct ScaledGather: FactorMap {
  /// [D], each below d.
  let index: [Int32]
  /// 1/√n_j [d].
  let norms: Tensor

  var length: Int { norms.count }
  var positions: Int { index.count }

  func project(_ theta: Tensor) -> Tensor {
    theta.gather(index, norms: norms.converted(to: theta.scalar), shape: [index.count])
  }

  func check() throws(Refusal) {
    guard let wrong = index.first(where: { $0 < 0 || $0 >= length }) else { return }
    throw Refusal("the index list holds \(wrong), which is no index into \(length) numbers")
  }
}
