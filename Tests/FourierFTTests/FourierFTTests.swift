import Blocks
import Catalog
import Conformance
import Engine
import PEFTKernel
import Testing

@testable import FourierFT

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct FourierFTConformance {
  /// n a site.
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "fourierft",
      axes: .init(projection: "sparse-frequencies", initialization: "near-base", trainable: ["entries"]),
      cases: [
        ["n_frequency": .int(12), "scaling": .double(1)],
        ["n_frequency": .int(40), "scaling": .double(-5), "exact_start": .bool(true), "random_loc_seed": .int(3)],
        // All of the smallest site's.
        ["n_frequency": .int(200), "scaling": .double(0.25)],
      ]
    ) { sites, options in sites.count * options.int("n_frequency") }
    conformance.learningRate = 0.5
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }
}

@Suite struct SparseFrequenciesTests {
  func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  /// Re(F⁻¹(S))·s as a sum over S, on axes of even and odd length, with few numbers and with all of them.
  @Test(arguments: [(8, 10), (9, 7), (12, 5), (1, 6), (16, 2)], [3, 1.0]) func changeIsTheTransform(
    _ shape: (Int, Int), _ share: Double
  ) throws {
    let (outputs, inputs) = shape
    let all = outputs * inputs
    let count = share == 1 ? all : min(3, all)
    let site = Site(id: SiteID("site"), outputs: outputs, inputs: inputs)
    let projection = SparseFrequencies(count: count, scaling: 2.5, seed: 21)
    var random = Philox(key: 4)
    let theta = random.normal([count], deviation: 1, .float64)
    let tensors = Tensors([TensorKey("fourierft_spectrum", site.id): theta])
    let base = TensorMap(matrix: .zeros([outputs, inputs], .float64))
    let change = try projection.change(at: site, tensors, on: base).dense(on: base.matrix).values
    var torch = TorchRandom(seed: 21)
    let places = torch.permutation(count, of: all)
    for p in 0..<outputs {
      for q in 0..<inputs {
        let sum = zip(places, theta.values).reduce(0.0) { sum, term in
          let (r, c) = (term.0 / inputs, term.0 % inputs)
          let turn = Double(r * p) / Double(outputs) + Double(c * q) / Double(inputs)
          return sum + term.1 * cos(2 * .pi * turn)
        }
        #expect(abs(change[p * inputs + q] - 2.5 * sum / Double(all)) < 1e-12)
      }
    }
  }

  /// Long axes have the waves that occur, others all of them.
  @Test func fewNumbersNeedFewWaves() {
    #expect(AxisWaves(length: 1000, of: [0, 3, 997, 500]).frequencies == [0, 3, 500])
    #expect(AxisWaves(length: 1000, of: [0, 3, 997, 500]).count == 4)
    #expect(AxisWaves(length: 8, of: [0, 1, 2]).frequencies == [0, 1, 2, 3, 4])
    for length in 1...9 { #expect(AxisWaves(length: length, of: Array(0..<length)).count == length) }
  }

  @Test func countsByPattern() throws {
    let sites = ["layers.0.q", "layers.1.q"].map { Site(id: SiteID($0), outputs: 6, inputs: 8) }
    func made(_ pattern: [String: OptionValue]) throws -> SparseFrequencies {
      let options = try Options(
        ["n_frequency": .int(5), "n_frequency_pattern": .map(pattern)], checkedBy: SparseFrequencies.options)
      return try SparseFrequencies(options)
    }
    #expect(try made(["layers.1.q": .int(7)]).layout(of: sites).map(\.count) == [5, 7])
    #expect(message { _ = try made(["layers.2.q": .int(7)]).layout(of: sites) }.contains("'layers.2.q' matches no adapted site"))
    #expect(message { _ = try made(["q": .double(1.5)]) }.contains("n_frequency_pattern: 'q' is 1.5"))
    #expect(message { _ = try made(["[": .int(3)]) }.contains("n_frequency_pattern: `[` is no regular expression"))
    #expect(message { _ = try made(["q": .int(49)]).layout(of: sites) }.contains("[6, 8] has 48 frequencies, fewer than the 49"))
  }
}
