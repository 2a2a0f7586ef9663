import Blocks
import Engine
import PEFTKernel
import Testing

@testable import Hydra

/// What the paper states about the two branches, in double.
@Suite struct HydraTests {
  let site = Site(id: SiteID("layers.0.down"), outputs: 9, inputs: 14, hasBias: true)
  let weight: Tensor
  let bias: Tensor
  let x: Tensor
  let dy: Tensor

  init() {
    var random = Philox(key: 3)
    weight = random.normal([9, 14], deviation: 0.3, .float64)
    bias = random.normal([9], deviation: 1, .float64)
    x = random.normal([6, 14], deviation: 1, .float64)
    dy = random.normal([6, 9], deviation: 1, .float64)
  }

  var base: TensorMap { TensorMap(matrix: weight, bias: bias) }

  func moved(_ projection: ParallelSequential) throws -> Tensors {
    var random = Philox(key: 8)
    var tensors = Tensors()
    for spec in try projection.layout(of: [site]) { tensors[spec.key] = random.normal(spec.shape, deviation: 0.7, .float64) }
    return tensors
  }

  func output(_ projection: any Projection, _ tensors: Tensors, _ x: Tensor, _ base: TensorMap, _ mode: Mode = .evaluation)
    -> Tensor
  {
    let now = Moment(mode: mode, seed: 4)
    let pass = Pass(now: now, rows: RowLayout(lengths: [x.rows]), sites: [site])
    return projection.output(
      SiteCall(site: site, input: x, base: base, pass: pass), projection.prepare(tensors, now, Bases { _ in base }))
  }

  func change(_ projection: any Projection, _ tensors: Tensors) throws -> WeightChange {
    try projection.change(at: site, projection.prepare(tensors, Moment(), Bases { [base] _ in base }), on: base)
  }

  func gradients(_ projection: any Projection, _ tensors: Tensors, _ base: TensorMap) -> Tensors {
    let tracked = Tensors(tensors.values.mapValues { $0.tracked() })
    Tensor.backward([(output(projection, tracked, x, base), dy)])
    return Tensors(tracked.values.mapValues { $0.gradient ?? .zeros($0.shape, .float64) })
  }

  /// y = f + s·(B_p·(A_p·x + a_p) + b_p) + s·(B_s·(A_s·f + a_s) + b_s), a column vector at a time, number by number.
  func written(_ t: Tensors, _ s: Double, _ p: Int, _ q: Int, hasBias: Bool) -> [Double] {
    func rows(_ tensor: Tensor) -> [[Double]] { (0..<tensor.rows).map { tensor.slice(rows: $0..<$0 + 1).values } }
    func times(_ matrix: [[Double]], _ v: [Double]) -> [Double] { matrix.map { zip($0, v).reduce(0) { $0 + $1.0 * $1.1 } } }
    func plus(_ a: [Double], _ b: [Double]?) -> [Double] { b.map { zip(a, $0).map(+) } ?? a }
    func stored(_ name: String) -> Tensor? { t.optional(name, site.id) }
    return rows(x).flatMap { x -> [Double] in
      let f = plus(times(rows(weight), x), bias.values)
      var y = f
      for (name, rank, input) in [("hydra_par", p, x), ("hydra_seq", q, f)] where rank > 0 {
        guard let a = stored("\(name)_A"), let b = stored("\(name)_B") else { continue }
        let u = plus(times(rows(a), input), hasBias ? stored("\(name)_A_bias")?.values : nil)
        let v = plus(times(rows(b), u), hasBias ? stored("\(name)_B_bias")?.values : nil)
        y = plus(y, v.map { $0 * s })
      }
      return y
    }
  }

  static let cases: [(Int, Int, Bool, Bool)] = [
    (3, 2, false, false), (2, 4, true, false), (0, 3, true, true), (2, 0, true, true), (1, 1, false, true),
  ]

  @Test(arguments: cases) func computesWhatThePaperWrites(_ p: Int, _ q: Int, _ hasBias: Bool, _ learns: Bool) throws {
    let projection = try ParallelSequential(
      parallelRank: p, sequentialRank: q, factor: 0.5, learnsFactor: learns, hasBias: hasBias)
    var tensors = try moved(projection)
    if learns { tensors["hydra_scale", site.id] = Tensor([-1.3], .float64) }
    let expected = Tensor(written(tensors, learns ? -1.3 : 0.5, p, q, hasBias: hasBias), shape: [6, 9], .float64)
    let y = output(projection, tensors, x, base)
    #expect((y - expected).largestMagnitude < 1e-12)
    // Merged: one map, weight and bias.
    let change = try change(projection, tensors)
    let merged = x.linear(weight + change.dense(on: weight), bias: change.bias.map { bias + $0 } ?? bias)
    #expect((merged - expected).largestMagnitude < 1e-12)
    let reach = try LinearAlgebra.svd(change.dense(on: weight)).s
    #expect(reach[p + q - 1] > 1e-3 && reach[p + q] < 1e-12)
  }

  /// A base without bias gets one where the branches have biases, and only there.
  @Test func mergingMakesABiasWhereOneIsNeeded() throws {
    let bare = TensorMap(matrix: weight)
    for hasBias in [false, true] {
      let projection = try ParallelSequential(hasBias: hasBias)
      let tensors = try moved(projection)
      let change = try projection.change(at: site, tensors, on: bare)
      #expect((change.bias != nil) == hasBias)
      let merged = x.linear(weight + change.dense(on: weight), bias: change.bias)
      #expect((merged - output(projection, tensors, x, bare)).largestMagnitude < 1e-12)
    }
  }

  @Test(arguments: BranchDraws.Law.allCases) func stepZeroIsTheBaseToTheBit(_ law: BranchDraws.Law) throws {
    let projection = try ParallelSequential(parallelRank: 3, sequentialRank: 2)
    let layout = try projection.layout(of: [site])
    let start = try BranchDraws(law: law).start(
      layout, [site], projection, Evidence(weight: { _ in .zeros([1, 1]) }), Moment(seed: 1))
    let tensors = Tensors(start.tensors.values.mapValues { $0.converted(to: .float64) })
    #expect(output(projection, tensors, x, base).values == base(x).values)
    let slopes = gradients(projection, tensors, base)
    for name in ["hydra_par", "hydra_seq"] {
      #expect(slopes["\(name)_A", site.id].largestMagnitude == 0)
      #expect(slopes["\(name)_B", site.id].largestMagnitude > 0)
    }
  }

  @Test func drawsFollowTheirLaws() throws {
    let wide = Site(id: SiteID("wide"), outputs: 200, inputs: 300)
    let projection = try ParallelSequential(parallelRank: 24, sequentialRank: 40, hasBias: false)
    let layout = try projection.layout(of: [wide])
    func start(_ law: BranchDraws.Law) throws -> Tensors {
      try BranchDraws(law: law).start(
        layout, [wide], projection, Evidence(weight: { _ in .zeros([1, 1]) }), Moment(seed: 2)
      ).tensors
    }
    for (name, inputs, rank) in [("hydra_par_A", 300.0, 24.0), ("hydra_seq_A", 200.0, 40.0)] {
      for (law, bound) in [(BranchDraws.Law.xavier, (6 / (inputs + rank)).squareRoot()), (.kaiming, 1 / inputs.squareRoot())] {
        let largest = try start(law)[name, wide.id].largestMagnitude
        #expect(largest <= bound && largest > 0.99 * bound)
      }
      let normal = try start(.normal)[name, wide.id]
      #expect(abs((normal.sumOfSquares / Double(normal.count)).squareRoot() / 0.02 - 1) < 0.04)
    }
  }

  /// Rows of the sequential change lie in the row space of W; the parallel branch leaves it (out < in).
  @Test func sequentialChangesStayInTheRowSpace() throws {
    let v = try LinearAlgebra.svd(weight).v
    func outside(_ p: Int, _ q: Int) throws -> Double {
      let projection = try ParallelSequential(parallelRank: p, sequentialRank: q)
      let change = try change(projection, moved(projection)).dense(on: weight)
      return (change - change.multiplied(byTransposeOf: v).multiplied(by: v)).largestMagnitude / change.largestMagnitude
    }
    #expect(try outside(0, 3) < 1e-13)
    #expect(try outside(3, 0) > 1e-2)
  }

  @Test func parallelAloneIsLoRA() throws {
    let projection = try ParallelSequential(parallelRank: 3, sequentialRank: 0, factor: 0.5, hasBias: false)
    let tensors = try moved(projection)
    let lora = LowRank(rank: 3, alpha: 1.5)
    let renamed = Tensors([
      TensorKey("lora_A.weight", site.id): tensors["hydra_par_A", site.id],
      TensorKey("lora_B.weight", site.id): tensors["hydra_par_B", site.id],
    ])
    #expect((output(projection, tensors, x, base) - output(lora, renamed, x, base)).largestMagnitude < 1e-13)
  }

  @Test func sequentialAloneActsOnTheOutput() throws {
    let projection = try ParallelSequential(parallelRank: 0, sequentialRank: 3, factor: 0.5, hasBias: false)
    let tensors = try moved(projection)
    let map =
      Tensor.identity(9, .float64)
      + tensors["hydra_seq_B", site.id].multiplied(by: tensors["hydra_seq_A", site.id]) * 0.5
    let expected = base(x).multiplied(byTransposeOf: map)
    #expect((output(projection, tensors, x, base) - expected).largestMagnitude < 1e-12)
  }

  /// The sequential branch reads the bias, so its slope moves with it; the parallel one's does not.
  @Test func theBiasOfTheBaseIsRead() throws {
    let projection = try ParallelSequential(hasBias: false)
    let tensors = try moved(projection)
    let shifted = TensorMap(matrix: weight, bias: bias + Tensor(repeating: 0.5, shape: [9], .float64))
    let (here, there) = (gradients(projection, tensors, base), gradients(projection, tensors, shifted))
    #expect((here["hydra_seq_A", site.id] - there["hydra_seq_A", site.id]).largestMagnitude > 1e-3)
    #expect(here["hydra_par_A", site.id].values == there["hydra_par_A", site.id].values)
  }

  /// In the mean over masks, dropout between the factors changes nothing; in evaluation it is off.
  @Test func dropoutStandsBetweenTheFactors() throws {
    let projection = try ParallelSequential(innerDropout: 0.4)
    let tensors = try moved(projection)
    let whole = output(projection, tensors, x, base)
    #expect((whole - output(try ParallelSequential(), tensors, x, base)).largestMagnitude == 0)
    let dropped = output(projection, tensors, x, base, .training)
    #expect((dropped - whole).largestMagnitude > 1e-3)
    // With B zero there is nothing to drop: what is beside the factors is not touched.
    var still = tensors
    for name in ["hydra_par_B", "hydra_seq_B"] { still[name, site.id] = .zeros([9, 2], .float64) }
    #expect(output(projection, still, x, base, .training).values == output(projection, still, x, base).values)
  }

  @Test func pairsArePromisedWhereTheyHold() throws {
    func pairs(_ projection: ParallelSequential) throws -> Set<Pair> {
      Set(try projection.layout(of: [site]).compactMap(\.role.pair))
    }
    #expect(try pairs(ParallelSequential(hasBias: false)).count == 2)
    #expect(try pairs(ParallelSequential(hasBias: true)).isEmpty)
    #expect(try pairs(ParallelSequential(hasBias: false, innerDropout: 0.1)).isEmpty)
    #expect(try pairs(ParallelSequential(learnsFactor: true, hasBias: false)).isEmpty)
  }

  /// ViT-B: attention output and second MLP layer; RoBERTa-base: second MLP layer.
  @Test func countsOfThePaper() throws {
    func count(_ projection: ParallelSequential, _ inputs: [Int]) throws -> Int {
      let sites = (0..<12).flatMap { layer in
        inputs.map { Site(id: SiteID("\(layer).\($0)"), outputs: 768, inputs: $0) }
      }
      return try projection.layout(of: sites).reduce(0) { $0 + $1.count }
    }
    #expect(try count(ParallelSequential(), [768, 3072]) == 239_712)
    #expect(try count(ParallelSequential(parallelRank: 4, sequentialRank: 8, hasBias: false), [3072]) == 331_776)
    let small = Site(id: SiteID("small"), outputs: 24, inputs: 20)
    let layout = try ParallelSequential(parallelRank: 4, sequentialRank: 3, hasBias: false).layout(of: [small])
    #expect(layout.reduce(0) { $0 + $1.count } == 320)
  }

  /// The parallel pair alone takes a target: best of rank r_p, and said to be best only where there is no other branch.
  @Test func approximationsAreThoseOfTheParallelPair() throws {
    var random = Philox(key: 12)
    let target = random.normal([9, 14], deviation: 1, .float64)
    for q in [0, 2] {
      let projection = try ParallelSequential(parallelRank: 3, sequentialRank: q, factor: 0.5)
      let made = try projection.approximate(
        Target(target), at: site, projection.layout(of: [site]), Tensors(), Philox(key: 1))
      let double = Tensors(made.tensors.values.mapValues { $0.converted(to: .float64) })
      let error = (target - (try change(projection, double).dense(on: weight))).sumOfSquares.squareRoot()
      let left = try LinearAlgebra.svd(target).s.dropFirst(3).reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(error / left - 1) < 1e-6 && abs(made.error / left - 1) < 1e-9)
      #expect(made.isBest == (q == 0))
      #expect(q == 0 || double["hydra_seq_A", site.id].largestMagnitude > 0)
    }
  }

  func message(_ options: [String: OptionValue]) -> String {
    do {
      _ = try ParallelSequential(Options(options, checkedBy: ParallelSequential.options)).layout(of: [site])
      return ""
    } catch { return "\(error)" }
  }

  @Test func refusesByName() throws {
    #expect(message(["r_par": .int(0), "r_seq": .int(0)]).contains("r_par and r_seq are both 0"))
    #expect(message(["r_par": .int(-1)]).contains("r_par is -1"))
    #expect(message(["scale": .int(0)]).contains("scale is 0"))
    #expect(message(["scale": .double(.infinity)]).contains("scale is"))
    #expect(message(["dropout": .int(1)]).contains("dropout is 1"))
    let wide = message(["r_par": .int(10)])
    #expect(wide.contains("r_par 10") && wide.contains("layers.0.down [9, 14]") && wide.contains("at most 9"))
    #expect(message(["r_seq": .int(12)]).contains("r_seq 12"))
    #expect(message(["r_par": .int(9), "r_seq": .int(9)]).isEmpty)
    let sequential = try ParallelSequential(parallelRank: 0)
    let error = #expect(throws: Refusal.self) {
      try sequential.approximate(
        Target(.zeros([9, 14])), at: site, sequential.layout(of: [site]), Tensors(), Philox(key: 1))
    }
    #expect(error?.description.contains("r_par of at least 1") == true)
  }
}
