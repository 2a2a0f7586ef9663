import Engine
import PEFTKernel

/// A as its layout says, B = 0: step 0 is the base, and every block of B receives the same gradient for ever.
///
/// `breaksSymmetry` starts the blocks apart: B_i ~ N(0, 1/r) less their mean over i, so that Σ_i B_i = 0 and step 0 still is the
/// base. ΔW depends on the sum alone, so what tells the blocks apart receives no gradient either; it only decays.
struct SharedHead: InitStrategy {
  var breaksSymmetry: Bool

  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    guard let blocks = projection as? BlockLowRank else {
      throw Refusal("start shared-head is that of projection block-low-rank", remedy: "use init: { use: fill }")
    }
    guard !breaksSymmetry || blocks.partition == .rank else {
      throw Refusal(
        "init_lora_B symmetric_break sets the blocks of B apart, which partition: input does not have",
        remedy: "use init_lora_B: zeros, or partition: rank")
    }
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    try check(layout, sites, projection)
    var tensors = layout.filled(now)
    if breaksSymmetry, let blocks = (projection as? BlockLowRank)?.blocks {
      for spec in layout where spec.key.name == "lora_B" {
        tensors[spec.key] = arms(spec.shape, blocks, now.random("start").stream(spec.key.description))
      }
    }
    return Start(tensors, notes: notes(on: sites))
  }

  /// [B_1 … B_n] that sum to zero, to the bit.
  private func arms(_ shape: [Int], _ blocks: Int, _ stream: Philox) -> Tensor {
    var random = stream
    let width = shape[1] / blocks
    let drawn = random.normal(shape, deviation: 1 / Double(shape[1]).squareRoot(), .float64)
    let mean = drawn.blockSum(blocks) * (1 / Double(blocks))
    var arms = (0..<blocks - 1).map {
      (drawn.slice(columns: $0 * width..<($0 + 1) * width) - mean).converted(to: .float32)
    }
    // The last is what the rounded others lack.
    arms.append(arms.isEmpty ? .zeros(shape) : Tensor.joinedColumns(arms).blockSum(blocks - 1) * -1)
    return .joinedColumns(arms)
  }

  private func notes(on sites: [Site]) -> [String] {
    let fused = sites.filter { $0.use == "attention.qkv" }
    guard let first = fused.first else { return [] }
    return [
      "\(first.id)\(fused.count > 1 ? " and \(fused.count - 1) more" : "") hold query, key and value in one map: the three share "
        + "one A, where the paper gives each its own"
    ]
  }

  static let definition = AxisDefinition<any InitStrategy>(
    "shared-head", "A ~ U(±1/√its inputs), B = 0 or blocks that sum to 0",
    options: [
      OptionSpec(
        "init_lora_B", .choice(["zeros", "symmetric_break"]), default: .string("zeros"),
        "whether the blocks of B start at zero, or apart with a sum of zero")
    ]
  ) { (options) throws(Refusal) in SharedHead(breaksSymmetry: options.string("init_lora_B") == "symmetric_break") }
}
