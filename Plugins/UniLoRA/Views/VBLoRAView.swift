import Engine
import PEFTKernel

/// VB-LoRA [arXiv:2405.15179] at fixed logits: factors cut into vectors of length b, each a mixture of a bank α [h, b] that all sites
/// share. θ_d = vec(α), and with the mixtures M [D/b, h], whose rows are sparse and sum to 1,
///
///     θ_D = M·α, laid out:  a row of A is in/b vectors;  vector t of B stands in column t mod r, rows (t div r)·b …
///
/// PᵀP = MᵀM ⊗ I_b. O(D·h).
struct VBLoRAView: FactorMap {
  /// [r·in/b, h] and [r·out/b, h].
  let mixDown: Tensor
  let mixUp: Tensor
  let width: Int
  let rank: Int

  var length: Int { mixDown.columns * width }
  var positions: Int { (mixDown.rows + mixUp.rows) * width }

  func project(_ theta: Tensor) -> Tensor {
    let bank = theta.reshaped([mixDown.columns, width])
    let a = mixDown.converted(to: theta.scalar).multiplied(by: bank)
    let b = mixUp.converted(to: theta.scalar).multiplied(by: bank)
    return .joinedRows([a.reshaped([a.count]), b.reshaped([b.count, 1]).gatherRows(columnwise).reshaped([b.count])])
  }

  /// Where entry (i, k) of B, row-major, stands in the vectors: in vector (i div b)·r + k, at i mod b.
  private var columnwise: [Int32] {
    (0..<mixUp.rows * width).map { place in
      let (i, k) = (place / rank, place % rank)
      return Int32((i / width * rank + k) * width + i % width)
    }
  }

  func check() throws(Refusal) {
    guard mixUp.columns == mixDown.columns, rank > 0, width > 0, mixUp.rows % rank == 0 else {
      throw Refusal("mixtures \(mixDown.shape) and \(mixUp.shape) of vectors of \(width) make no factors of rank \(rank)")
    }
  }
}
