import Blocks
import Engine
import Testing

/// The table of filters against what defines each family.
@Suite struct WaveletTableTests {
  @Test(arguments: Wavelet.all) func isOrthogonal(_ wavelet: Wavelet) {
    let h = wavelet.filter
    #expect(h.count % 2 == 0 && abs(h.reduce(0, +) - 2.0.squareRoot()) < 1e-12)
    for shift in 0..<h.count / 2 {
      let product = (0..<h.count - 2 * shift).reduce(0) { $0 + h[$1] * h[$1 + 2 * shift] }
      #expect(abs(product - (shift == 0 ? 1 : 0)) < 1e-11)
    }
  }

  /// Σ (−1)^m·m^k·h_m = 0: K times for dbK and symK, which have 2K taps, and 2K times for coifK, which has 6K.
  @Test(arguments: Wavelet.all) func hasItsVanishingMoments(_ wavelet: Wavelet) throws {
    let order = try #require(Int(wavelet.name.filter(\.isNumber).isEmpty ? "1" : wavelet.name.filter(\.isNumber)))
    let isCoiflet = wavelet.name.hasPrefix("coif")
    #expect(wavelet.filter.count == (isCoiflet ? 6 : 2) * order)
    func moment(_ k: Int, around center: Double, alternating: Bool) -> Double {
      let scale = Double(wavelet.filter.count)
      return wavelet.filter.enumerated().reduce(0) { sum, tap in
        let power = (0..<k).reduce(1.0) { value, _ in value * (Double(tap.offset) - center) / scale }
        return sum + (alternating && tap.offset % 2 == 1 ? -1 : 1) * power * tap.element
      }
    }
    let middle = Double(wavelet.filter.count - 1) / 2
    for k in 0..<(isCoiflet ? 2 : 1) * order { #expect(abs(moment(k, around: middle, alternating: true)) < 1e-11) }
    if isCoiflet {
      for k in 1..<2 * order { #expect(abs(moment(k, around: Double(2 * order), alternating: false)) < 1e-10) }
    }
  }

  /// Of all filters with the same autocorrelation, Daubechies' have their energy foremost; symlets have it near the middle.
  @Test(arguments: 4...8) func familiesDifferInPhase(_ order: Int) throws {
    func center(_ name: String) throws -> Double {
      try #require(Wavelet(name)).filter.enumerated().reduce(0) { $0 + Double($1.offset) * $1.element * $1.element }
    }
    let (extremal, symmetric) = (try center("db\(order)"), try center("sym\(order)"))
    let middle = Double(2 * order - 1) / 2
    #expect(extremal < symmetric && abs(symmetric - middle) < middle - extremal)
  }

  /// Approximation and detail of (i² mod 7) − 1.5, i = 0…11, by PyWavelets' `dwt` in periodization mode: the first three of each.
  @Test(arguments: [
    (
      "db3", [-0.248519750804234, 0.225081753983692, 1.11741453717681], [2.34368256076119, -1.09125700357412, -0.990852823876491]
    ),
    ("sym4", [0.367335974642193, 1.4437445099953, 1.89457135211952], [1.35652736558114, -2.15735206045644, 0.68896385284253]),
    (
      "coif1", [-1.52836734512656, 2.18850694190574, 1.43541531167532], [0.758637651396848, 0.873773769513826, -2.21981839817732]
    ),
  ])
  func phasesArePyWavelets(_ name: String, _ low: [Double], _ high: [Double]) throws {
    let transform = WaveletTransform(filter: try #require(Wavelet(name)).filter, levels: 1)
    let x = Tensor((0..<12).map { Double($0 * $0 % 7) - 1.5 }, shape: [1, 12], .float64)
    let bands = x.waveletAnalysis(transform).values
    for k in 0..<3 { #expect(abs(bands[6 + k] - low[k]) < 1e-12 && abs(bands[k] - high[k]) < 1e-12) }
  }

  @Test func unknownNamesHaveNoFilter() {
    #expect(Wavelet("bior2.2") == nil && Wavelet("db99") == nil)
    #expect(Wavelet("haar")?.filter == Wavelet("db1")?.filter)
  }
}
