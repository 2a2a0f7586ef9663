import Blocks
import Engine
import PEFTKernel

/// ΔW as a sum of n products that share one down factor, which is added up before it is multiplied [arXiv:2501.16720].
///
/// `rank`: B = [B_1 … B_n] with blocks [out, r/n] beside one A [r/n, in]:
///
///     ΔW = s·Σ_i (B_i·A) = s·(Σ_i B_i)·A
///
/// `input`: one A [r, in/n] for every slice x_i of the input, B [out, r]:
///
///     ΔW·x = s·Σ_i B·(A·x_i) = s·B·A·(Σ_i x_i),   ΔW = s·[B·A … B·A]
///
/// Both train r·(out + in/n) numbers. The blocks of B are added once per step, slices of x once per site; a row then costs
/// r·(in + out)/n products, or r·(out + in/n). With `rank` every block receives the same gradient, so that ΔW is a LoRA of rank
/// r/n whose B moves n times as fast; what is gained is size, not reach.
public struct BlockLowRank: Projection {
  /// r, nominal: the rank over all blocks.
  public var rank: Int
  /// n.
  public var blocks: Int
  public var partition: Partition
  public var alpha: Double
  /// Whether s is alpha/√r rather than alpha/r.
  public var isRankStabilized: Bool
  public var dropout: Double

  public enum Partition: String, Sendable, CaseIterable {
    case rank, input
  }

  public init(
    rank: Int = 4, blocks: Int = 2, partition: Partition = .rank, alpha: Double = 1, isRankStabilized: Bool = true,
    dropout: Double = 0
  ) throws(Refusal) {
    if partition == .rank, rank % blocks != 0 {
      throw Refusal(
        "blocks (n) is \(blocks), which does not divide rank \(rank)",
        remedy: "use \(Divisors.nearest(to: blocks, of: rank)) blocks")
    }
    self.rank = rank
    self.blocks = blocks
    self.partition = partition
    self.alpha = alpha
    self.isRankStabilized = isRankStabilized
    self.dropout = dropout
  }

  public func scale(at site: Site) -> Double {
    isRankStabilized ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
  }

  /// Blocks of B that are added are no plain factor: what moves one of them moves the product of all.
  private func pair(at site: Site) -> Pair? { partition == .input || blocks == 1 ? Pair(site.id.path) : nil }

  /// The rank that ΔW can have, and the shape of A.
  private func head(at site: Site) -> (rank: Int, inputs: Int) {
    partition == .rank ? (rank / blocks, site.inputs) : (rank, site.inputs / blocks)
  }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    for site in sites {
      if partition == .input, site.inputs % blocks != 0 {
        let common = sites.reduce(0) { Divisors.greatest($0, $1.inputs) }
        throw Refusal(
          "blocks (n) is \(blocks), which does not divide the \(site.inputs) inputs of \(site.id)",
          remedy: "use \(Divisors.nearest(to: blocks, of: common)) blocks, or partition: rank")
      }
      let (height, width) = head(at: site)
      guard partition == .input || height <= min(width, site.outputs) else {
        throw Refusal(
          "rank \(rank) in \(blocks) blocks exceeds what \(site.id) [\(site.outputs), \(site.inputs)] can use",
          remedy: "use a rank of at most \(min(width, site.outputs) * blocks)")
      }
      let pair = pair(at: site)
      let fill = Fill.uniform(bound: 1 / Double(width).squareRoot())
      specs.append(TensorSpec(TensorKey("lora_A", site.id), [height, width], .down(pair), fill: fill))
      specs.append(TensorSpec(TensorKey("lora_B", site.id), [site.outputs, rank], .up(pair)))
    }
    return specs
  }

  /// Σ_i B_i in place of [B_1 … B_n].
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    guard partition == .rank, blocks > 1 else { return stored }
    var prepared = stored
    for (key, value) in stored.values where key.name == "lora_B" { prepared[key] = value.blockSum(blocks) }
    return prepared
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    let (pair, down) = (pair(at: site), t["lora_A", site.id])
    var chain: [any LinearMap] = [
      Matrix(t["lora_B", site.id], scale: scale(at: site), pair: pair), Matrix(down, pair: pair),
    ]
    if partition == .input { chain.append(BlockSum(blocks: blocks, width: down.columns, down.scalar)) }
    return WeightChange(chains: [chain])
  }
}

extension BlockLowRank: Approximating {
  /// The best B̄·A of rank r/n shared out evenly over the blocks of B; or the best B·A in front of the sum of slices.
  public func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    let (height, width) = head(at: site)
    let best: BestPair
    switch partition {
    case .rank: best = try BestPair(height, of: target, random)
    case .input:
      best = try BestPair(height, before: BlockSum(blocks: blocks, width: width, .float64).dense(), of: target, random)
    }
    let root = (1 / scale(at: site)).squareRoot()
    var tensors = layout.filled(Moment())
    let (up, down) = best.balanced(to: height, drawn: tensors["lora_A", site.id] * (1 / root))
    let block = up * (partition == .rank ? root / Double(blocks) : root)
    tensors["lora_A", site.id] = (down * root).converted(to: .float32)
    let copies = partition == .rank ? blocks : 1
    tensors["lora_B", site.id] = Tensor.joinedColumns(Array(repeating: block, count: copies)).converted(to: .float32)
    return Approximation(tensors, error: best.error, isBest: best.isBest)
  }
}

/// Counts of equal parts.
enum Divisors {
  static func greatest(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatest(b, a % b) }

  /// The divisors of `whole` next to `count`, in words.
  static func nearest(to count: Int, of whole: Int) -> String {
    let below = stride(from: min(count, whole), through: 1, by: -1).first { whole % $0 == 0 }
    let above = count < whole ? (count...whole).first { whole % $0 == 0 } : nil
    return [below, above].compactMap { $0.map(String.init) }.joined(separator: " or ")
  }
}
