import Engine
import PEFTKernel

extension RandLoRAMethod {
  /// One site; the shared bases may be larger than it needs, and then their leading parts count.
  static let golden = GoldenReader(reads: { $0.isOf("randlora") }, read: problem)

  private static func problem(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    let (side, length) = (min(weight.rows, weight.columns), max(weight.rows, weight.columns))
    let (down, up) = (try file.tensor("frozen.randlora_A"), try file.tensor("frozen.randlora_B"))
    guard let rank = file.int("r"), rank > 0 else { throw Refusal("the file's config has no r") }
    let count = (side + rank - 1) / rank
    guard down.shape.count == 3, up.shape.count == 3, down.shape[0] == rank, down.shape[1] == 1, up.shape[2] == rank,
      down.shape[2] >= side, up.shape[0] >= length, up.shape[1] >= count
    else { throw Refusal("bases \(down.shape) and \(up.shape) are too small for rank \(rank) of \(weight.shape)") }
    let (lambda, gamma) = (TensorKey(RandomBases.lambda, site.id), TensorKey(RandomBases.gamma, site.id))
    // The file states them twice.
    for name in ["randlora_A", "randlora_B", "randlora_lambda", "randlora_gamma"] { _ = file.tensors["given." + name] }
    let point = Tensors([
      TensorKey(RandomBases.down): down.reshaped([rank, down.columns]).slice(columns: 0..<side).reshaped([rank, 1, side]),
      TensorKey(RandomBases.up): up.slice(rows: 0..<length).reshaped([length, up.shape[1] * rank])
        .slice(columns: 0..<count * rank).reshaped([length, count, rank]),
      lambda: try file.tensor("trainable.randlora_lambda"), gamma: try file.tensor("trainable.randlora_gamma"),
    ])
    let options = file.options.filter { !["A_cols", "B_rows", "B_bases"].contains($0.key) }
    var problem = GoldenCase(
      entry: "randlora", options: options, sites: [site], weights: [site.id: weight], point: point,
      gradients: ["randlora_lambda": lambda, "randlora_gamma": gamma])
    @Sendable func numericalRank(_ change: Tensor) throws(Refusal) -> Tensor {
      do throws(LinearAlgebraError) {
        let values = try LinearAlgebra.svd(change).s
        return Tensor([Double(values.count { $0 > 1e-9 * values[0] })], .float64)
      } catch { throw Refusal("the change cannot be decomposed: \(error)") }
    }
    problem.initial = [
      "start_gamma": { (made) throws(Refusal) in made.start.tensors[gamma] },
      "rank": { (made) throws(Refusal) in try numericalRank(try made.change(point, at: site)) },
    ]
    return problem
  }
}
