import Blocks
import Engine
import PEFTKernel
import Testing

@testable import BlockLoRA

/// Starts from a matrix, against what the mathematics allows.
@Suite struct BlockLoRAApproximationTests {
  let site = Site(id: SiteID("layers.0.q"), outputs: 15, inputs: 12)
  let target: Tensor
  let gram: Tensor

  init() {
    var random = Philox(key: 5)
    target = random.normal([15, 12], deviation: 1, .float64)
    let inputs = random.normal([40, 12], deviation: 1, .float64).multipliedByRow(
      Tensor((0..<12).map { 1 / Double($0 + 1) }, .float64))
    gram = inputs.transposed.multiplied(by: inputs)
  }

  func change(_ projection: BlockLowRank, _ tensors: Tensors) throws -> Tensor {
    let bases = Bases { _ in TensorMap(matrix: .zeros([15, 12], .float64)) }
    let double = Tensors(tensors.values.mapValues { $0.converted(to: .float64) })
    return try projection.change(at: site, projection.prepare(double, Moment(), bases), on: bases[site.id])
      .dense(on: .zeros([15, 12], .float64))
  }

  static let cases: [(BlockLowRank.Partition, Int, Int, Bool)] = [
    (.rank, 4, 2, false), (.rank, 6, 3, true), (.input, 3, 2, false), (.input, 2, 4, true), (.input, 3, 1, true),
  ]

  /// The error is the one reported, and no step in any direction of the factors lessens it: its slope vanishes.
  @Test(arguments: cases) func approximationsAreBest(
    _ partition: BlockLowRank.Partition, _ rank: Int, _ n: Int, _ weighted: Bool
  ) throws {
    let projection = try BlockLowRank(rank: rank, blocks: n, partition: partition, alpha: 3)
    let metric: Metric = weighted ? .gram(gram) : .frobenius
    let made = try projection.approximate(
      Target(target, metric: metric), at: site, projection.layout(of: [site]), Tensors(), Philox(key: 1))
    #expect(made.isBest)
    let error = target - (try change(projection, made.tensors))
    #expect(abs(metric.length(of: error) / made.error - 1) < 1e-5)
    #expect(made.error < 0.98 * metric.length(of: target))
    let slope = weighted ? error.multiplied(by: gram) : error
    let summed = partition == .input ? slope.blockSum(n) : slope
    let a = made.tensors["lora_A", site.id].converted(to: .float64)
    let b = made.tensors["lora_B", site.id].converted(to: .float64).blockSum(partition == .rank ? n : 1)
    #expect(summed.multiplied(byTransposeOf: a).largestMagnitude < 1e-5 * slope.largestMagnitude * a.sumOfSquares.squareRoot())
    #expect(b.transposed.multiplied(by: summed).largestMagnitude < 1e-5 * slope.largestMagnitude * b.sumOfSquares.squareRoot())
  }

  /// A matrix within reach is reached; the best rank r/n has the error that the singular values left over have.
  @Test func whatIsWithinReachIsReached() throws {
    let input = try BlockLowRank(rank: 3, blocks: 2, partition: .input)
    var random = Philox(key: 8)
    let half = random.normal([15, 3], deviation: 1, .float64).multiplied(by: random.normal([3, 6], deviation: 1, .float64))
    let within = Tensor.joinedColumns([half, half])
    let made = try input.approximate(Target(within), at: site, input.layout(of: [site]), Tensors(), Philox(key: 1))
    #expect((try change(input, made.tensors) - within).largestMagnitude < 1e-5)
    let rank = try BlockLowRank(rank: 6, blocks: 3)
    let cut = try rank.approximate(Target(target), at: site, rank.layout(of: [site]), Tensors(), Philox(key: 1))
    let left = try LinearAlgebra.svd(target).s.dropFirst(2).reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(abs(cut.error / left - 1) < 1e-10)
    let b = cut.tensors["lora_B", site.id]
    #expect(b.slice(columns: 0..<2).values == b.slice(columns: 4..<6).values)
  }
}

@Suite struct BlockLoRARefusalTests {
  let sites = [
    Site(id: SiteID("q"), outputs: 24, inputs: 20), Site(id: SiteID("v"), outputs: 16, inputs: 12),
    Site(id: SiteID("fused"), use: "attention.qkv", outputs: 48, inputs: 16),
  ]

  func message(_ options: [String: OptionValue], _ start: Bool = false) -> String {
    do {
      let projection = try BlockLowRank(Options(options, checkedBy: BlockLowRank.options))
      _ = try projection.layout(of: sites)
      if start { try SharedHead(breaksSymmetry: true).check(projection.layout(of: sites), sites, projection) }
      return ""
    } catch { return "\(error)" }
  }

  @Test func blocksThatDoNotDivide() {
    let rank = message(["rank": .int(12), "blocks": .int(5)])
    #expect(rank.contains("blocks (n) is 5") && rank.contains("rank 12") && rank.contains("use 4 or 6 blocks"))
    #expect(message(["rank": .int(4), "blocks": .int(8)]).contains("use 4 blocks"))
    let input = message(["blocks": .int(3), "partition": .string("input")])
    #expect(input.contains("the 20 inputs of q") && input.contains("use 2 or 4 blocks"))
    #expect(message(["rank": .int(3), "blocks": .int(4), "partition": .string("input")]).isEmpty)
    #expect(message(["blocks": .int(0)]).contains("blocks is 0"))
  }

  @Test func ranksAboveTheSite() {
    let rank = message(["rank": .int(30), "blocks": .int(2)])
    #expect(rank.contains("rank 30 in 2 blocks") && rank.contains("v [16, 12]") && rank.contains("at most 24"))
    // Slices may be narrower than the rank: that is no fault, and directions that are left stay free.
    #expect(message(["rank": .int(6), "blocks": .int(4), "partition": .string("input")]).isEmpty)
  }

  @Test func startsThatDoNotFit() throws {
    #expect(message(["partition": .string("input")], true).contains("partition: input"))
    #expect(message([:], true).isEmpty)
    let low = LowRank(rank: 2, alpha: 2)
    let error = #expect(throws: Refusal.self) {
      try SharedHead(breaksSymmetry: false).check(low.layout(of: sites), sites, low)
    }
    #expect(error?.description.contains("block-low-rank") == true)
  }

  @Test func fusedMapsAreNoted() throws {
    let projection = try BlockLowRank()
    let layout = try projection.layout(of: sites)
    let start = try SharedHead(breaksSymmetry: false).start(
      layout, sites, projection, Evidence(weight: { _ in .zeros([1, 1]) }), Moment())
    #expect(start.notes.count == 1 && start.notes.first?.contains("fused") == true)
  }
}
