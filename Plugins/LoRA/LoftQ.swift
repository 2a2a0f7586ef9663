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
  /// Turns a problem into one whose start stands on Q_T. The file's rounds quantize to NF4 in blocks of 64.
  func alternate(_ problem: inout GoldenCase) throws(Refusal) {
    let site = problem.sites[0]
    guard let weight = problem.weights[site.id]?.converted(to: .float64), let rank = int("r") else {
      throw Refusal("the file has no weight and r")
    }
    let quantizer = try NormalFloat(blockSize: 64)
    var rest = weight
    for _ in 0..<(int("loftq_iter") ?? 1) {
      let coded = try quantizer.quantized(rest, gram: nil).matrix.dense(as: .float64)
      let (up, down) = try BestPair(rank, of: Target(weight - coded), Philox(key: 0)).balanced
      rest = weight - up.multiplied(by: down)
      problem.startWeights = [site.id: coded]
    }
    problem.originals = [site.id: weight]
    for name in ["init", "loftq_iter", "loftq_bits"] { problem.options[name] = nil }
  }
}
