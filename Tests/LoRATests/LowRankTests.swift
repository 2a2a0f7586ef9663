import Blocks
import Engine
import PEFTKernel
import Testing

/// What the papers state about ΔW = s·B·A, in double.
struct LowRankTests {
  let site = Site(id: SiteID("site"), outputs: 7, inputs: 9)

  struct Problem {
    var x: Tensor
    var dy: Tensor
    var weight: Tensor
    var tensors: Tensors

    init(_ projection: LowRank, _ site: Site, rows: Int = 5) throws {
      var random = Philox(key: 7)
      x = random.normal([rows, site.inputs], deviation: 1, .float64)
      dy = random.normal([rows, site.outputs], deviation: 1, .float64)
      weight = random.normal([site.outputs, site.inputs], deviation: 1, .float64)
      tensors = Tensors()
      for spec in try projection.layout(of: [site]) {
        tensors[spec.key] = random.normal(spec.shape, deviation: 1, .float64)
      }
    }

    func output(_ projection: LowRank, _ site: Site, _ x: Tensor, _ tensors: Tensors) -> Tensor {
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [x.rows]), sites: [site])
      return projection.output(SiteCall(site: site, input: x, base: TensorMap(matrix: weight), pass: pass), tensors)
    }
  }

  @Test func scales() {
    #expect(LowRank(rank: 16, alpha: 16).scale(at: site) == 1)
    #expect(LowRank(rank: 16, alpha: 16, scaling: .rslora).scale(at: site) == 4)
    let patterned = LowRank(
      rank: 16, alpha: 16, rankPattern: SitePatterns(["site": 4]), alphaPattern: SitePatterns(["site": 8]))
    #expect(patterned.scale(at: site) == 2)
  }

  @Test func patternsMatchAsExpressionsDo() {
    let paths = ["model.layers.1.q_proj", "model.layers.11.q_proj", "1.q_proj", "model.layers.1.k_proj", "layers_1.q_proj"]
    for pattern in [
      "q_proj", "1.q_proj", "layers.1.q_proj", "layers.1", "_proj", "layers.[0-9].*", ".*q_proj", "layers.1|q_proj",
    ] {
      guard let regex = try? Regex("(.*\\.)?(\(pattern))") else { continue }
      let table = SitePatterns([pattern: 2])
      for path in paths {
        for _ in 0..<2 {
          #expect(
            (table[Site(id: SiteID(path), outputs: 1, inputs: 1)] == 2) == (path.wholeMatch(of: regex) != nil),
            "\(pattern) at \(path)")
        }
      }
    }
  }

  @Test func patternsThatMatchNothingAreRefused() {
    let misspelt = LowRank(rank: 4, alpha: 4, alphaPattern: SitePatterns(["site": 2, "sight": 3]))
    let error = #expect(throws: Refusal.self) { try misspelt.layout(of: [site]) }
    #expect(error?.reason == "alpha_pattern: 'sight' matches no adapted site")
  }

  @Test func counts() throws {
    let square = Site(id: SiteID("square"), outputs: 4096, inputs: 4096)
    let layout = try LowRank(rank: 8, alpha: 8).layout(of: [square])
    #expect(layout.reduce(0) { $0 + $1.count } == 65_536)
    let biased = try LowRank(rank: 3, alpha: 8, hasBias: true).layout(of: [site])
    #expect(biased.reduce(0) { $0 + $1.count } == 3 * (7 + 9) + 7)
  }

  @Test(arguments: [1, 3, 7], [false, true]) func gradientsAgreeWithDifferences(_ rank: Int, _ hasBias: Bool) throws {
    let projection = LowRank(rank: rank, alpha: 5, scaling: .rslora, hasBias: hasBias)
    let problem = try Problem(projection, site)
    let x = problem.x.tracked()
    let tracked = Tensors(problem.tensors.values.mapValues { $0.tracked() })
    Tensor.backward([(problem.output(projection, site, x, tracked), problem.dy)])

    func loss(_ x: Tensor, _ tensors: Tensors) -> Double {
      zip(problem.output(projection, site, x, tensors).values, problem.dy.values).reduce(0) { $0 + $1.0 * $1.1 }
    }
    func check(_ gradient: Tensor?, _ value: Tensor, _ loss: (Tensor) -> Double) throws {
      let gradient = try #require(gradient).values
      for i in gradient.indices {
        func moved(_ step: Double) -> Double {
          var values = value.values
          values[i] += step
          return loss(Tensor(values, shape: value.shape, .float64))
        }
        #expect(abs((moved(1e-5) - moved(-1e-5)) / 2e-5 - gradient[i]) < 1e-7 * (1 + abs(gradient[i])))
      }
    }
    try check(x.gradient, problem.x) { loss($0, problem.tensors) }
    for (key, value) in problem.tensors.values {
      try check(tracked[key].gradient, value) { moved in
        var tensors = problem.tensors
        tensors[key] = moved
        return loss(problem.x, tensors)
      }
    }
  }

  @Test func onlyBMovesFirst() throws {
    let projection = LowRank(rank: 3, alpha: 6)
    var problem = try Problem(projection, site)
    problem.tensors["lora_B.weight", site.id] = .zeros([7, 3], .float64)
    let tracked = Tensors(problem.tensors.values.mapValues { $0.tracked() })
    Tensor.backward([(problem.output(projection, site, problem.x, tracked), problem.dy)])
    #expect(tracked["lora_A.weight", site.id].gradient?.largestMagnitude == 0)
    let expected =
      problem.dy.transposed.multiplied(by: problem.x.multiplied(byTransposeOf: problem.tensors["lora_A.weight", site.id])) * 2
    let actual = try #require(tracked["lora_B.weight", site.id].gradient)
    #expect((actual - expected).largestMagnitude < 1e-12)
  }

  @Test func mergedWeightActsAsTheBranch() throws {
    let projection = LowRank(rank: 3, alpha: 6, hasBias: true)
    let problem = try Problem(projection, site)
    let change = try projection.change(at: site, problem.tensors, on: TensorMap(matrix: problem.weight))
    let delta = change.dense(on: problem.weight)
    let merged = problem.x.linear(problem.weight + delta, bias: change.bias)
    #expect((merged - problem.output(projection, site, problem.x, problem.tensors)).largestMagnitude < 1e-12)
    let spectrum = try LinearAlgebra.svd(delta).s
    #expect(spectrum[2] > 1e-3 && spectrum[3] < 1e-12)
  }

  /// rsLoRA's theorem at B = 0: with A's variance independent of the rank, ‖∂B‖ stays as it is for alpha/√r and falls
  /// with 1/√r for alpha/r.
  @Test func rankStabilisedScaleKeepsTheGradient() throws {
    let wide = Site(id: SiteID("wide"), outputs: 256, inputs: 512)
    func norm(_ rank: Int, _ scaling: LowRank.Scaling) throws -> Double {
      let projection = LowRank(rank: rank, alpha: 16, scaling: scaling)
      let problem = try Problem(projection, wide, rows: 128)
      let filled = try projection.layout(of: [wide]).filled(Moment(seed: 3), .float64)
      let tensors = Tensors(filled.values.mapValues { $0.tracked() })
      Tensor.backward([(problem.output(projection, wide, problem.x, tensors), problem.dy)])
      return try #require(tensors["lora_B.weight", wide.id].gradient).sumOfSquares.squareRoot()
    }
    let single = try norm(1, .standard)
    for rank in [4, 16, 64, 256] {
      #expect(abs(try norm(rank, .standard) / single * Double(rank).squareRoot() - 1) < 0.15)
      #expect(abs(try norm(rank, .rslora) / single - 1) < 0.15)
    }
  }
}
