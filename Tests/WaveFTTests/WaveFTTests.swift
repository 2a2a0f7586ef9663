import Blocks
import Catalog
import Conformance
import Engine
import PEFTKernel
import Testing

@testable import WaveFT

@Suite struct WaveFTConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "waveft",
      axes: .init(projection: "sparse-wavelets", initialization: "fill", trainable: ["entries"]),
      cases: [
        ["n_frequency": .int(20), "scaling": .double(2)],
        ["n_frequency": .int(30), "wavelet": .string("sym4"), "scaling": .double(-1), "random_loc_seed": .int(3)],
        ["n_frequency": .int(25), "wavelet": .string("db3"), "scaling": .double(2), "proportional_parameters": .bool(true)],
        ["n_frequency": .int(15), "use_idwt": .bool(false), "scaling": .double(2)],
      ]
    ) { sites, options in
      guard options.bool("proportional_parameters") else { return sites.count * options.int("n_frequency") }
      let sizes = sites.map { Double($0.inputs * $0.outputs) }
      let budget = Double(options.int("n_frequency") * sites.count)
      return sizes.reduce(0) { $0 + max(1, Int(($1 / sizes.reduce(0, +) * budget).rounded(.toNearestOrEven))) }
    }
    // The numbers start at 0, and their places have a seed of their own.
    conformance.drawsStart = false
    conformance.learningRate = 3e-2
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }
}

/// PEFT's own numbers stand in the adapter files' tests; here is what the transform must be.
@Suite struct SparseWaveletsTests {
  func change(_ projection: SparseWavelets, _ theta: Tensor, _ outputs: Int, _ inputs: Int) throws -> Tensor {
    let site = Site(id: SiteID("site"), outputs: outputs, inputs: inputs)
    let base = TensorMap(matrix: .zeros([outputs, inputs], .float64))
    let tensors = Tensors([TensorKey("waveft_spectrum", site.id): theta])
    return try projection.change(at: site, tensors, on: base).dense(on: base.matrix)
  }

  /// Of even sides db1 is a rotation: it keeps lengths, and all numbers reach everything.
  @Test func db1KeepsLengths() throws {
    var random = Philox(key: 4)
    let theta = random.normal([60], deviation: 1, .float64)
    let change = try change(SparseWavelets(count: 60, scaling: 2), theta, 8, 10)
    #expect(abs(change.sumOfSquares - 4 * theta.sumOfSquares) < 1e-10)
  }

  /// One level of the inverse transform without borders, y[t] = Σ_k c[k]·f[t + F − 2 − 2k], along both axes, as sums.
  @Test(arguments: ["db1", "db2", "sym4", "coif1"], [(8, 10), (7, 5), (6, 9)])
  func changeIsTheTransform(_ name: String, _ shape: (Int, Int)) throws {
    let (outputs, inputs) = shape
    let low = try #require(Wavelet(name)).filter
    let taps = low.count
    let high = (0..<taps).map { ($0 % 2 == 0 ? 1 : -1) * low[taps - 1 - $0] }
    var random = Philox(key: 4)
    let count = 20
    let theta = random.normal([count], deviation: 1, .float64)
    let change = try change(
      SparseWavelets(count: count, scaling: 1, wavelet: Wavelet(name), seed: 9), theta, outputs, inputs
    ).values
    func padded(_ n: Int) -> Int { (n + taps - 2) + (n + taps - 2) % 2 }
    let (height, width) = (padded(outputs), padded(inputs))
    var expected = [Double](repeating: 0, count: outputs * inputs)
    var torch = TorchRandom(seed: 9)
    for (place, value) in zip(torch.permutation(count, of: outputs * inputs), theta.values) {
      let (r, c) = (place / inputs + (height - outputs) / 2, place % inputs + (width - inputs) / 2)
      // The quarter at the top right is what is high along rows' index.
      let (rowFilter, columnFilter) = (2 * c >= width ? high : low, 2 * r >= height ? high : low)
      let (k, l) = (r % (height / 2), c % (width / 2))
      for p in 0..<outputs {
        for q in 0..<inputs {
          let (i, j) = (p + taps - 2 - 2 * k, q + taps - 2 - 2 * l)
          guard low.indices.contains(i), low.indices.contains(j) else { continue }
          expected[p * inputs + q] += value * rowFilter[i] * columnFilter[j]
        }
      }
    }
    for (mine, other) in zip(change, expected) { #expect(abs(mine - other) < 1e-12) }
  }

  /// max(1, round(n·#sites·share)), halves to even.
  @Test func numbersAreSharedOutBySize() {
    let sites = [(4, 4), (4, 12), (2, 1)].enumerated().map {
      Site(id: SiteID("\($0)"), outputs: $1.0, inputs: $1.1)
    }
    #expect(SparseWavelets(count: 11, isProportional: true).counts(of: sites) == [8, 24, 1])
    #expect(SparseWavelets(count: 1, isProportional: true).counts(of: Array(sites[..<1])) == [1])
  }

  @Test func aSiteTooSmallIsNamed() {
    let site = Site(id: SiteID("site"), outputs: 3, inputs: 4)
    let refusal = #expect(throws: Refusal.self) { try SparseWavelets(count: 13).layout(of: [site]) }
    #expect(refusal?.reason == "site [3, 4] has 12 coefficients, fewer than the 13 asked for")
  }
}
