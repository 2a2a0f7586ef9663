import Blocks
import Engine
import PEFTKernel
import Testing

@testable import WaRA

/// How near the projection comes to a given matrix.
@Suite struct ApproximationTests {
  private func approximation(
    _ bands: WaveletBands.Bands, levels: Int, _ outputs: Int, _ inputs: Int, _ metric: Metric = .frobenius
  ) throws -> (target: Tensor, made: Approximation, projection: WaveletBands, site: Site) {
    let projection = WaveletBands(
      rank: 2, alpha: 5, wavelet: try #require(Wavelet("db2")), levels: levels, bands: bands)
    let site = Site(id: SiteID("site"), outputs: outputs, inputs: inputs)
    var random = Philox(key: 31)
    let target = random.normal([outputs, inputs], deviation: 1, .float64)
    let made = try projection.approximate(
      Target(target, metric: metric), at: site, try projection.layout(of: [site]), Tensors(), random)
    return (target, made, projection, site)
  }

  private func distance(_ target: Tensor, _ projection: WaveletBands, _ site: Site, _ tensors: Tensors) -> Double {
    let double = Tensors(tensors.values.mapValues { $0.converted(to: .float64) })
    return (target - projection.change(at: site, double).dense(on: target)).sumOfSquares.squareRoot()
  }

  /// What remains are the singular values behind the second of every band; of tied bands, also what sets them apart.
  @Test(arguments: [1, 2], WaveletBands.Bands.allCases) func leavesTheTailsOfItsBands(_ levels: Int, _ bands: WaveletBands.Bands)
    throws
  {
    let (target, made, projection, site) = try approximation(bands, levels: levels, 16, 24)
    let transform = projection.transform
    let whole = target.waveletAnalysis(transform).transposed.waveletAnalysis(transform).transposed
    func band(_ place: WaveletBands.Place) -> Tensor {
      whole.slice(rows: transform.columns(of: place.outputs, in: 16)).slice(columns: transform.columns(of: place.inputs, in: 24))
    }
    var left = 0.0
    var served = 0.0
    for term in projection.terms {
      let parts = term.places.map(band)
      let mean = parts.dropFirst().reduce(parts[0], +) * (1 / Double(parts.count))
      let tail = try LinearAlgebra.svd(mean).s.dropFirst(2).reduce(0) { $0 + $1 * $1 }
      left += Double(parts.count) * tail + parts.reduce(0) { $0 + ($1 - mean).sumOfSquares }
      served += parts.reduce(0) { $0 + $1.sumOfSquares }
    }
    // Bands that no pair serves remain whole.
    left += target.sumOfSquares - served
    #expect(made.isBest && abs(made.error - left.squareRoot()) < 1e-5)
    #expect(abs(distance(target, projection, site, made.tensors) - made.error) < 1e-5)
  }

  @Test(arguments: WaveletBands.Bands.allCases) func nothingNearbyIsNearer(_ bands: WaveletBands.Bands) throws {
    let (target, made, projection, site) = try approximation(bands, levels: 1, 12, 8)
    var random = Philox(key: 32)
    for key in made.tensors.values.keys {
      var moved = made.tensors
      moved[key] = moved[key] + random.normal(moved[key].shape, deviation: 1e-2)
      #expect(distance(target, projection, site, moved) > made.error)
    }
  }

  @Test(arguments: WaveletBands.Bands.allCases) func cutSizesAreSaidNotToBeBest(_ bands: WaveletBands.Bands) throws {
    let (target, made, projection, site) = try approximation(bands, levels: 2, 17, 33)
    #expect(!made.isBest && made.error < target.sumOfSquares.squareRoot())
    #expect(abs(distance(target, projection, site, made.tensors) - made.error) < 1e-5)
  }

  @Test func gramIsRefusedWithItsReason() throws {
    let error = #expect(throws: Refusal.self) { try approximation(.shared, levels: 1, 8, 8, .gram(.identity(8, .float64))) }
    #expect(error?.reason.contains("couples the bands") == true)
  }

}
