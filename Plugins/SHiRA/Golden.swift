import Blocks
import Engine
import PEFTKernel

extension SHiRAMethod {
  /// One site with its places; the masks that the file states beside them are those of other starts on the same weight.
  static let golden = GoldenReader(reads: { $0.isOf("shira") }, read: problem)

  private static func problem(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    let (values, indices) = (TensorKey(MaskedEntries.values, site.id), TensorKey(MaskedEntries.indices, site.id))
    guard let index = file.integers["frozen.shira_indices"], index.count % 2 == 0 else {
      throw Refusal("the file has no list of places frozen.shira_indices")
    }
    let point = Tensors([
      values: try file.tensor("trainable.shira_weight"),
      indices: Tensor(index.map(Double.init), shape: [2, index.count / 2], .float64),
    ])
    let gradient = try file.tensor("given.grad_abs")
    let options = file.options.filter { !["struct_every", "struct_axis"].contains($0.key) }
    var problem = GoldenCase(
      entry: "shira", options: options, sites: [site], weights: [site.id: weight], point: point,
      gradients: ["shira_weight": values])
    let (every, axis) = (file.int("struct_every") ?? 1, file.config["struct_axis"]?.text ?? "not given")
    let masks = Masks(weight: weight, gradient: gradient, count: index.count / 2)
    problem.initial = [
      "mask_wm": { (_) throws(Refusal) in masks.flat(masks.largest) },
      "mask_wm_second": { (_) throws(Refusal) in masks.flat(masks.second) },
      "mask_grad": { (made) throws(Refusal) in try masks.chosen(.gradient, made) },
      "mask_snip": { (made) throws(Refusal) in try masks.chosen(.product, made) },
      "mask_struct": { (_) throws(Refusal) in try masks.structured(every, axis, site) },
      "awom": { (_) throws(Refusal) in Tensor([try masks.interference().spectral], .float64) },
      "awom_frobenius": { (_) throws(Refusal) in Tensor([try masks.interference().frobenius], .float64) },
      "awor": { (_) throws(Refusal) in Tensor([try masks.interference().orthogonality], .float64) },
    ]
    return problem
  }
}

/// The masks of one weight.
private struct Masks: Sendable {
  let weight: Tensor
  /// Ḡ.
  let gradient: Tensor
  /// k.
  let count: Int

  var largest: Support { .largest(count, of: weight * weight) }
  var second: Support { .ranked(count..<2 * count, of: weight * weight) }

  /// Places as numbers in row-major order.
  func flat(_ support: Support) -> Tensor { flat(support.index) }

  private func flat(_ index: Tensor) -> Tensor {
    let (values, count) = (index.values, index.columns)
    return Tensor((0..<count).map { values[$0] * Double(weight.columns) + values[count + $0] }, .float64)
  }

  /// Those that the start by gradients chooses.
  func chosen(_ score: LargestGradients.Score, _ made: GoldenStart) throws(Refusal) -> Tensor {
    let id = made.sites[0].id
    let start = LargestGradients(score: score, amount: .init(.batches(1), batchSize: 1))
    let evidence = Evidence(weight: { [weight] _ in weight }, gradients: [id: gradient])
    let tensors = try start.start(made.layout, made.sites, made.parameterization.projection, evidence, Moment()).tensors
    return flat(tensors[MaskedEntries.indices, id])
  }

  func structured(_ every: Int, _ axis: String, _ site: Site) throws(Refusal) -> Tensor {
    guard let places = SparseHighRank.Places(rawValue: axis), places != .random, every > 1 else {
      throw Refusal("struct_axis is \(axis), struct_every \(every)", remedy: "known: rows, columns; 2 and more")
    }
    let projection = SparseHighRank(entries: MaskedEntries(size: .rank(1)), places: places, every: every)
    return flat(try projection.layout(of: [site]).filled(Moment())[MaskedEntries.indices, site.id])
  }

  /// Of the weight on the first mask and on the second.
  func interference() throws(Refusal) -> Interference {
    var adapters: [(values: Tensor, places: SparsePlaces)] = []
    for support in [largest, second] {
      guard let places = SparsePlaces(support.index, outputs: weight.rows, inputs: weight.columns) else {
        throw Refusal("the weight has no \(2 * count) entries")
      }
      let entries = weight.values
      let index = flat(support).values
      adapters.append((Tensor(index.map { entries[Int($0)] }, .float64), places))
    }
    do throws(LinearAlgebraError) {
      return try Interference(adapters[0], adapters[1])
    } catch { throw Refusal("A₁ᵀ·A₂ cannot be decomposed: \(error)") }
  }
}
