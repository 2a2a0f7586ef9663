import Blocks
import Engine
import PEFTKernel

/// LoftQ, "LoRA-Fine-Tuning-aware Quantization for Large Language Models" [arXiv:2310.08659].
///
///     R₀ = W;   Q_t = quant(R_{t−1}),   B·A = the best approximation of W − Q_t,   R_t = W − B·A
///
/// The last Q is a model directory that `peft quantize --for RUN` writes; a run on it starts by the target `quantization-error`,
/// which finds the last A and B again: no method of its own, but `low-rank` with that start.
extension GoldenFile {
  /// Turns a problem into one whose start stands on Q_T. The file's rounds quantize to NF4 in blocks of 64, or to
  /// eight bits by rows.
  func alternate(_ problem: inout GoldenCase) throws(Refusal) {
    let site = problem.sites[0]
    guard let weight = problem.weights[site.id]?.converted(to: .float64), let rank = int("r") else {
      throw Refusal("the file has no weight and r")
    }
    let bits = int("loftq_bits") ?? 4
    guard bits == 4 || bits == 8 else { throw Refusal("loftq_bits is \(bits), but must be 4 or 8") }
    let quantizer = try NormalFloat(blockSize: 64)
    var rest = weight
    for _ in 0..<(int("loftq_iter") ?? 1) {
      let coded = bits == 8 ? rest.roundedByRow : try quantizer.quantized(rest, gram: nil).matrix.dense(as: .float64)
      let (up, down) = try BestPair(rank, of: Target(weight - coded), Philox(key: 0)).balanced
      rest = weight - up.multiplied(by: down)
      problem.startWeights = [site.id: coded]
    }
    problem.originals = [site.id: weight]
    for name in ["init", "loftq_iter", "loftq_bits"] { problem.options[name] = nil }
  }
}

extension Tensor {
  /// Every row on 255 even points between ± its largest entry.
  fileprivate var roundedByRow: Tensor {
    .joinedRows(
      (0..<rows).map { i in
        let row = slice(rows: i..<i + 1)
        let step = row.largestMagnitude / 127
        return step > 0
          ? Tensor(row.values.map { max(-127, min(127, ($0 / step).rounded())) * step }, shape: row.shape, scalar) : row
      })
  }
}
