import Blocks
import Engine
import PEFTKernel
import Testing

@testable import BlockLoRA

/// What the spec states about the two partitions, in double.
@Suite struct BlockLoRATests {
  let site = Site(id: SiteID("layers.0.q"), outputs: 15, inputs: 12)
  let weight: Tensor
  let x: Tensor
  let dy: Tensor

  init() {
    var random = Philox(key: 5)
    weight = random.normal([15, 12], deviation: 0.3, .float64)
    x = random.normal([7, 12], deviation: 1, .float64)
    dy = random.normal([7, 15], deviation: 1, .float64)
  }

  static let cases: [(BlockLowRank.Partition, Int, Int)] = [
    (.rank, 4, 2), (.rank, 6, 3), (.rank, 4, 4), (.input, 3, 2), (.input, 2, 4),
  ]

  func moved(_ projection: BlockLowRank, key: UInt64 = 9) throws -> Tensors {
    var random = Philox(key: key)
    return Tensors(
      Dictionary(
        uniqueKeysWithValues: try projection.layout(of: [site]).map { ($0.key, random.normal($0.shape, deviation: 1, .float64)) })
    )
  }

  func output(_ projection: any Projection, _ tensors: Tensors, _ x: Tensor) -> Tensor {
    let bases = Bases { [weight] _ in TensorMap(matrix: weight) }
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [x.rows]), sites: [site])
    let prepared = projection.prepare(tensors, Moment(), bases)
    return projection.output(SiteCall(site: site, input: x, base: bases[site.id], pass: pass), prepared)
  }

  func dense(_ projection: any Projection, _ tensors: Tensors) throws -> Tensor {
    let bases = Bases { [weight] _ in TensorMap(matrix: weight) }
    let prepared = projection.prepare(tensors, Moment(), bases)
    return try projection.change(at: site, prepared, on: bases[site.id]).dense(on: weight)
  }

  /// Σ of n products, as the definition writes it.
  func longForm(_ projection: BlockLowRank, _ tensors: Tensors) -> Tensor {
    let (a, b, n) = (tensors["lora_A", site.id], tensors["lora_B", site.id], projection.blocks)
    let s = projection.alpha / Double(projection.rank).squareRoot()
    var sum = Tensor.zeros([15, 12], .float64)
    if projection.partition == .rank {
      let width = projection.rank / n
      for i in 0..<n { sum = sum + b.slice(columns: i * width..<(i + 1) * width).multiplied(by: a) }
    } else {
      sum = .joinedColumns((0..<n).map { _ in b.multiplied(by: a) })
    }
    return sum * s
  }

  @Test(arguments: cases) func shortFormIsTheLongOne(_ partition: BlockLowRank.Partition, _ rank: Int, _ n: Int) throws {
    let projection = try BlockLowRank(rank: rank, blocks: n, partition: partition, alpha: 3)
    let tensors = try moved(projection)
    let long = longForm(projection, tensors)
    #expect((try dense(projection, tensors) - long).largestMagnitude < 1e-12)
    let expected = x.multiplied(byTransposeOf: weight + long)
    #expect((output(projection, tensors, x) - expected).largestMagnitude < 1e-12)
    // No rank beyond the shared one; slices of the input are all treated alike.
    let s = try LinearAlgebra.svd(long).s
    let reach = partition == .rank ? rank / n : rank
    #expect(s[reach - 1] > 1e-3 && s[reach] < 1e-12)
    guard partition == .input else { return }
    let change = try dense(projection, tensors)
    for i in 1..<n {
      #expect(change.slice(columns: i * 12 / n..<(i + 1) * 12 / n).values == change.slice(columns: 0..<12 / n).values)
    }
  }

  @Test(arguments: cases) func countsAreTheSpecs(_ partition: BlockLowRank.Partition, _ rank: Int, _ n: Int) throws {
    let count = try BlockLowRank(rank: rank, blocks: n, partition: partition).layout(of: [site]).reduce(0) { $0 + $1.count }
    #expect(count == rank * 15 + rank * 12 / n)
  }

  /// CLIP ViT-B/16, query, key and value in 12 layers of width 512 and 12 of 768.
  @Test func countsOfCLIP() throws {
    let sites = [512, 768].flatMap { width in
      (0..<36).map { Site(id: SiteID("\(width).\($0)"), outputs: width, inputs: width) }
    }
    func count(_ rank: Int, _ n: Int) throws -> Int {
      try BlockLowRank(rank: rank, blocks: n).layout(of: sites).reduce(0) { $0 + $1.count }
    }
    #expect(try count(2, 1) == 184_320)
    #expect(try count(2, 2) == 138_240)
    #expect(try count(4, 4) == 230_400)
  }

  @Test func oneBlockIsLoRA() throws {
    let lora = LowRank(rank: 3, alpha: 5, scaling: .rslora)
    for partition in BlockLowRank.Partition.allCases {
      let projection = try BlockLowRank(rank: 3, blocks: 1, partition: partition, alpha: 5)
      let tensors = try moved(projection)
      let renamed = Tensors([
        TensorKey("lora_A.weight", site.id): tensors["lora_A", site.id],
        TensorKey("lora_B.weight", site.id): tensors["lora_B", site.id],
      ])
      #expect((output(projection, tensors, x) - output(lora, renamed, x)).largestMagnitude < 1e-13)
      #expect(try projection.layout(of: [site]).allSatisfy { $0.role.pair != nil })
    }
  }

  /// Tied blocks are no factors of a plain product; slices of the input are.
  @Test func pairsArePromisedWhereTheyHold() throws {
    #expect(try BlockLowRank(rank: 4, blocks: 2).layout(of: [site]).allSatisfy { $0.role.pair == nil })
    #expect(try BlockLowRank(rank: 4, blocks: 2, partition: .input).layout(of: [site]).allSatisfy { $0.role.pair != nil })
  }

  func gradients(_ projection: any Projection, _ tensors: Tensors) -> Tensors {
    let tracked = Tensors(tensors.values.mapValues { $0.tracked() })
    Tensor.backward([(output(projection, tracked, x), dy)])
    return Tensors(tracked.values.mapValues { $0.gradient ?? .zeros($0.shape, .float64) })
  }

  @Test func onlyBMovesFirst() throws {
    let projection = try BlockLowRank(rank: 6, blocks: 3)
    let layout = try projection.layout(of: [site])
    let start = try SharedHead(breaksSymmetry: false).start(
      layout, [site], projection, Evidence(weight: { _ in .zeros([1, 1]) }), Moment(seed: 1))
    let tensors = Tensors(start.tensors.values.mapValues { $0.converted(to: .float64) })
    #expect(try dense(projection, tensors).largestMagnitude == 0)
    #expect(tensors["lora_A", site.id].largestMagnitude <= 1 / 12.0.squareRoot())
    let slopes = gradients(projection, tensors)
    #expect(slopes["lora_A", site.id].largestMagnitude == 0)
    #expect(slopes["lora_B", site.id].largestMagnitude > 0)
  }

  enum Rule: CaseIterable { case descent, adam }

  /// Twelve steps of an element-wise rule: all blocks of B stay equal to the bit, and ΔW follows a LoRA of rank r/n whose B moves
  /// n times as fast.
  @Test(arguments: Rule.allCases) func tiedBlocksTrainAsASmallerLoRA(_ rule: Rule) throws {
    let (n, width) = (3, 2)
    let projection = try BlockLowRank(rank: n * width, blocks: n, alpha: 2)
    // The same s.
    let lora = LowRank(rank: width, alpha: projection.scale(at: site) * Double(width))
    var random = Philox(key: 31)
    let a = random.normal([width, 12], deviation: 0.5, .float64)
    var blocks = Tensors([TensorKey("lora_A", site.id): a, TensorKey("lora_B", site.id): .zeros([15, n * width], .float64)])
    var plain = Tensors([
      TensorKey("lora_A.weight", site.id): a, TensorKey("lora_B.weight", site.id): .zeros([15, width], .float64),
    ])
    var (m, v): ([TensorKey: [Double]], [TensorKey: [Double]]) = ([:], [:])

    func step(_ tensors: Tensors, _ slopes: Tensors, _ time: Int, rateOfB: Double) -> Tensors {
      Tensors(
        Dictionary(
          uniqueKeysWithValues: tensors.values.map { key, value in
            let g = slopes[key].values
            var direction = g
            if rule == .adam {
              let old = (m[key] ?? g.map { _ in 0 }, v[key] ?? g.map { _ in 0 })
              let (m1, v1) = (zip(old.0, g).map { 0.9 * $0 + 0.1 * $1 }, zip(old.1, g).map { 0.999 * $0 + 0.001 * $1 * $1 })
              (m[key], v[key]) = (m1, v1)
              let (c1, c2) = (1 - pow(0.9, time), 1 - pow(0.999, time))
              direction = zip(m1, v1).map { $0 / c1 / (($1 / c2).squareRoot() + 1e-8) }
            }
            let rate = 0.01 * (key.name.hasPrefix("lora_B") ? rateOfB : 1)
            return (key, value - Tensor(direction, shape: value.shape, .float64) * rate)
          }))
    }
    for time in 1...12 {
      blocks = step(blocks, gradients(projection, blocks), time, rateOfB: 1)
      plain = step(plain, gradients(lora, plain), time, rateOfB: Double(n))
    }
    let b = blocks["lora_B", site.id]
    #expect(b.largestMagnitude > 1e-2)
    for i in 1..<n {
      #expect(b.slice(columns: i * width..<(i + 1) * width).values == b.slice(columns: 0..<width).values)
    }
    let (ours, theirs) = (try dense(projection, blocks), try dense(lora, plain))
    #expect((ours - theirs).largestMagnitude < 1e-10 * theirs.largestMagnitude)
  }

  private func pow(_ base: Double, _ exponent: Int) -> Double { (0..<exponent).reduce(1) { product, _ in product * base } }

  @Test(arguments: [2, 4]) func blocksThatStartApartSumToZero(_ n: Int) throws {
    let projection = try BlockLowRank(rank: 8, blocks: n)
    let wide = Site(id: SiteID("wide"), outputs: 12, inputs: 64)
    let layout = try projection.layout(of: [wide])
    let start = try SharedHead(breaksSymmetry: true).start(
      layout, [wide], projection, Evidence(weight: { _ in .zeros([1, 1]) }), Moment(seed: 1))
    let b = start.tensors["lora_B", wide.id]
    #expect(
      projection.prepare(start.tensors, Moment(), Bases { _ in TensorMap(matrix: .zeros([1, 1])) })["lora_B", wide.id]
        .largestMagnitude == 0)
    // N(0, 1/r) less the mean of n draws has the variance (1 − 1/n)/r; 96 draws, four deviations of the estimate.
    let variance = b.sumOfSquares / Double(b.count) * 8 / (1 - 1 / Double(n))
    #expect(abs(variance - 1) < 4 * (2.0 / 48).squareRoot())
    #expect(b.slice(columns: 0..<8 / n).values != b.slice(columns: 8 / n..<16 / n).values)
  }

  @Test func differencesBetweenBlocksReceiveNoGradient() throws {
    let projection = try BlockLowRank(rank: 6, blocks: 3)
    let slopes = gradients(projection, try moved(projection))["lora_B", site.id]
    for i in 1..<3 { #expect(slopes.slice(columns: 2 * i..<2 * i + 2).values == slopes.slice(columns: 0..<2).values) }
  }
}
