import Blocks
import Catalog
import Engine
import PEFTKernel
import Synchronization
import Testing

@testable import WaRA

/// What the specification states about ΔW, in double.
@Suite struct WaRATests {
  /// A projection at a site, with random factors.
  struct Problem {
    let projection: WaveletBands
    let site: Site
    var tensors = Tensors()

    init(_ wavelet: String, levels: Int, _ bands: WaveletBands.Bands, rank: Int = 2, outputs: Int, inputs: Int) throws {
      projection = WaveletBands(
        rank: rank, alpha: 3, wavelet: try #require(Wavelet(wavelet)), levels: levels, bands: bands)
      site = Site(id: SiteID("site"), outputs: outputs, inputs: inputs)
      var random = Philox(key: 21)
      for spec in try projection.layout(of: [site]) { tensors[spec.key] = random.normal(spec.shape, deviation: 1, .float64) }
    }

    var delta: Tensor { projection.change(at: site, tensors).dense(on: .zeros([site.outputs, site.inputs], .float64)) }

    func output(_ x: Tensor, _ weight: Tensor, observer: (any PairObserver)? = nil) -> Tensor {
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [x.rows]), sites: [site], observer: observer)
      return projection.output(SiteCall(site: site, input: x, base: TensorMap(matrix: weight), pass: pass), tensors)
    }
  }

  private func rank(of matrix: Tensor) throws -> Int {
    let s = try LinearAlgebra.svd(matrix).s
    return s.count { $0 > 1e-9 * s[0] }
  }

  @Test(arguments: [1, 2, 3]) func sharedPairsReachTheirRank(_ levels: Int) throws {
    let problem = try Problem("db2", levels: levels, .shared, outputs: 24, inputs: 32)
    #expect(try rank(of: problem.delta) == 2 * (levels + 1))
    #expect(try problem.projection.layout(of: [problem.site]).reduce(0) { $0 + $1.count } < 2 * 56)
  }

  @Test func independentBandsReachFourTimesTheRank() throws {
    #expect(try rank(of: try Problem("db2", levels: 1, .independent, outputs: 24, inputs: 32).delta) == 8)
  }

  @Test func haarAtOneLevelIsAKroneckerProduct() throws {
    for (outputs, inputs) in [(8, 10), (9, 13)] {
      let problem = try Problem("haar", levels: 1, .shared, outputs: outputs, inputs: inputs)
      let product = problem.tensors["wara_B_1", problem.site.id].multiplied(by: problem.tensors["wara_A_1", problem.site.id])
      let (values, width) = (product.values, product.columns)
      let expected = (0..<outputs * inputs).map { place -> Double in
        let (i, j) = (place / inputs, place % inputs)
        return i % 2 == j % 2 ? 1.5 * values[i / 2 * width + j / 2] : 0
      }
      #expect((problem.delta - Tensor(expected, shape: [outputs, inputs], .float64)).largestMagnitude < 1e-13)
    }
  }

  @Test(arguments: [1, 2]) func energyIsThatOfTheBands(_ levels: Int) throws {
    for bands in WaveletBands.Bands.allCases {
      let problem = try Problem("sym4", levels: levels, bands, outputs: 24, inputs: 32)
      let energies = problem.projection.terms.map { term in
        let (down, up) = (problem.tensors[term.down, problem.site.id], problem.tensors[term.up, problem.site.id])
        return Double(term.places.count) * up.multiplied(by: down).sumOfSquares
      }
      #expect(abs(problem.delta.sumOfSquares / (2.25 * energies.reduce(0, +)) - 1) < 1e-11)
    }
  }

  @Test(arguments: [1, 2], [WaveletBands.Bands.shared, .independent]) func forwardIsThatOfTheMergedWeight(
    _ levels: Int, _ bands: WaveletBands.Bands
  ) throws {
    var random = Philox(key: 22)
    for (outputs, inputs) in [(17, 33), (5, 5), (24, 20)] {
      let problem = try Problem("db3", levels: levels, bands, rank: 1, outputs: outputs, inputs: inputs)
      let (x, weight) = (
        random.normal([4, inputs], deviation: 1, .float64), random.normal([outputs, inputs], deviation: 1, .float64)
      )
      #expect((problem.output(x, weight) - x.linear(weight + problem.delta)).largestMagnitude < 1e-12)
    }
  }

  /// Where the base gives way by what the bands begin with, step 0 keeps its function.
  @Test(arguments: WaveletBands.Bands.allCases) func whatIsTakenOffComesBack(_ bands: WaveletBands.Bands) throws {
    let problem = try Problem("db2", levels: 2, bands, outputs: 17, inputs: 33)
    var random = Philox(key: 24)
    let base = TensorMap(matrix: random.normal([17, 33], deviation: 1, .float64))
    let method = Assembly(
      projection: problem.projection, initialization: FillStart(), trainable: TrainableSubset(roles: ["factor-a", "factor-b"]))
    let adapter = try Adapter(
      method, sites: [problem.site], layout: try Adapter.layout(method, over: [problem.site]), tensors: problem.tensors,
      offset: problem.tensors, on: Bases { _ in base })
    let x = random.normal([4, 33], deviation: 1, .float64)
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [4]), sites: [problem.site])
    let output = try #require(adapter.attached().output(at: problem.site.id, x, base, pass))
    #expect((output - base(x)).largestMagnitude < 1e-12 && problem.delta.largestMagnitude > 0.1)
    #expect(try adapter.change(at: problem.site).dense(on: base.matrix).largestMagnitude < 1e-12)
  }

  /// dB = s·Σ_b (V_b)ᵀ·U_b·Aᵀ and dA = s·Σ_b Bᵀ·V_bᵀ·U_b with U, V the bands of x and dy: LoRA's gradients on band coefficients.
  /// Whoever watches the pair sees s·Σ_b V_bᵀ·U_b, the gradient of its product.
  @Test func gradientsAreThoseOfLoRAOnBands() throws {
    final class Watcher: PairObserver {
      let seen = Mutex<[Pair: Tensor]>([:])
      func saw(_ pair: Pair, u: Tensor, v: Tensor) {
        let product = v.transposed.multiplied(by: u)
        seen.withLock { $0[pair] = product }
      }
    }
    var random = Philox(key: 23)
    for levels in [1, 2] {
      var problem = try Problem("db2", levels: levels, .shared, outputs: 16, inputs: 24)
      let plain = problem.tensors
      problem.tensors = Tensors(plain.values.mapValues { $0.tracked() })
      let (x, dy) = (random.normal([5, 24], deviation: 1, .float64), random.normal([5, 16], deviation: 1, .float64))
      let watcher = Watcher()
      Tensor.backward([(problem.output(x, .zeros([16, 24], .float64), observer: watcher), dy)])
      let transform = problem.projection.transform
      let (u, v) = (x.waveletAnalysis(transform), dy.waveletAnalysis(transform))
      for term in problem.projection.terms {
        let sum = term.places.map { place in
          v.slice(columns: transform.columns(of: place.outputs, in: 16)).transposed
            .multiplied(by: u.slice(columns: transform.columns(of: place.inputs, in: 24))) * 1.5
        }.reduce(.zeros([16 >> term.level, 24 >> term.level], .float64), +)
        let (down, up) = (plain[term.down, problem.site.id], plain[term.up, problem.site.id])
        let (dDown, dUp) = (problem.tensors[term.down, problem.site.id], problem.tensors[term.up, problem.site.id])
        #expect((try #require(dUp.gradient) - sum.multiplied(byTransposeOf: down)).largestMagnitude < 1e-12)
        #expect((try #require(dDown.gradient) - up.transposed.multiplied(by: sum)).largestMagnitude < 1e-12)
        let seen = watcher.seen.withLock { $0[Pair("site#\(term.name)")] }
        #expect((try #require(seen) - sum).largestMagnitude < 1e-12)
      }
      #expect(watcher.seen.withLock(\.count) == problem.projection.terms.count)
    }
  }

  /// The bands of one input are made for its first site, and found by the next.
  @Test func sitesOfOneInputShareTheAnalysis() throws {
    let problem = try Problem("db2", levels: 1, .shared, outputs: 8, inputs: 12)
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [3]), sites: [problem.site])
    let x = Tensor(repeating: 1, shape: [3, 12], .float64)
    let base = TensorMap(matrix: .zeros([8, 12], .float64))
    _ = problem.projection.output(SiteCall(site: problem.site, input: x, base: base, pass: pass), problem.tensors)
    let analysis = WaveletAnalysis(problem.projection.transform, inputs: 12, .float64)
    let shared = pass.memo(x, "|" + (analysis.share ?? "")) {
      Issue.record("the analysis is not shared")
      return x
    }
    #expect(shared.shape == [3, 12])
  }

  @Test func levelsTooDeepNameTheDeepest() throws {
    let site = Site(id: SiteID("site"), outputs: 17, inputs: 40)
    let deep = WaveletBands(rank: 1, wavelet: try #require(Wavelet("haar")), levels: 5, bands: .shared)
    let error = #expect(throws: Refusal.self) { try deep.layout(of: [site]) }
    #expect(error?.description.contains("levels") == true && error?.remedy == "use levels of at most 4")
    let high = WaveletBands(rank: 6, wavelet: try #require(Wavelet("haar")), levels: 2, bands: .shared)
    #expect(#expect(throws: Refusal.self) { try high.layout(of: [site]) }?.remedy == "use at most 5, or fewer levels")
  }

  @Test func unknownWaveletsNameTheNearest() throws {
    let registry = try Catalog.registry()
    func refusal(_ name: String) -> String {
      do throws(Refusal) {
        _ = try registry.entry("wara", overriding: ["wavelet": .string(name)])
        return "accepted"
      } catch { return error.description }
    }
    #expect(refusal("bior2.2").contains("haar, db1, db2") && refusal("bior2.2").contains("wavelet"))
    #expect(refusal("sym44").contains("did you mean `sym4`?"))
  }

  /// Starts that draw factors draw those of every band.
  @Test func everyPairIsDrawn() throws {
    let registry = try Catalog.registry()
    let problem = try Problem("db2", levels: 1, .independent, outputs: 8, inputs: 12)
    let layout = try problem.projection.layout(of: [problem.site])
    #expect(layout.pairs(at: problem.site.id).count == 4)
    let options = try Options([:], checkedBy: [])
    let start = try #require(registry.axes.inits["orthogonal"]).make(options)
    let made = try start.start(
      layout, [problem.site], problem.projection, Evidence(weight: { _ in .zeros([8, 12]) }), Moment())
    for pair in layout.pairs(at: problem.site.id) {
      let (down, up) = (made.tensors[pair.down.key], made.tensors[pair.up.key])
      #expect(up.largestMagnitude > 0 && up.multiplied(by: down).largestMagnitude < 1e-6)
    }
  }
}
