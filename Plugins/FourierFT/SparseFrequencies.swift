import Blocks
import Engine
import PEFTKernel

/// ΔW = s·Re(F⁻¹(S)) with S [out, in] zero but for n trained numbers at places drawn from a seed [arXiv:2405.03003].
///
///     ΔW[p, q] = s/(out·in)·Σ_k θ_k·cos(2π·(r_k·p/out + c_k·q/in))
///              = s/(out·in)·Σ_k θ_k·(cos_{r_k}(p)·cos_{c_k}(q) − sin_{r_k}(p)·sin_{c_k}(q))
///
/// so ΔW = E_outᵀ·G·E_in with the waves of each axis, at most as many as it is long, and a sparse G of at most 2n entries. Waves of an
/// axis are made once for the model; E_in·x is computed once for all sites that read x. Per token that is waves·length multiplications
/// on each side, as much as a weight takes with two square ones, and 2n between them; no matrix of the weight's size is made of θ. An
/// axis that is long beside n has only the waves that occur.
public struct SparseFrequencies: Projection {
  /// n.
  public var count: Int
  public var pattern: SitePatterns
  /// s.
  public var scaling: Double
  public var seed: UInt64
  /// Whether θ starts at 0.
  public var startsAtBase: Bool
  private let made = MadeSpectra()

  public init(
    count: Int = 1000, pattern: SitePatterns = SitePatterns(), scaling: Double = 150, seed: UInt64 = 777,
    startsAtBase: Bool = false
  ) {
    self.count = count
    self.pattern = pattern
    self.scaling = scaling
    self.seed = seed
    self.startsAtBase = startsAtBase
  }

  static let spectrum = "fourierft_spectrum"

  public func scale(at site: Site) -> Double { scaling }

  func count(at site: Site) -> Int { pattern[site].flatMap { Int(exactly: $0) } ?? count }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    if let pattern = pattern.unmatched(by: sites) {
      throw Refusal("n_frequency_pattern: '\(pattern)' matches no adapted site", remedy: "correct or remove it")
    }
    var specs: [TensorSpec] = []
    for site in sites {
      let count = count(at: site)
      try TorchRandom.check(count, of: "frequencies", at: site, orElse: "a pattern for the site")
      specs.append(
        TensorSpec(
          TensorKey(Self.spectrum, site.id), [count], .entries, fill: startsAtBase ? .zeros : .normal(deviation: 1)))
    }
    return specs
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    let theta = t[Self.spectrum, site.id]
    let spectrum = made.spectrum(outputs: site.outputs, inputs: site.inputs, count: theta.count, seed: seed)
    let (rows, columns) = (spectrum.rows, spectrum.columns)
    let factor = scaling / (Double(site.outputs) * Double(site.inputs))
    return WeightChange(chains: [
      [
        FixedMatrix(made.waves(rows, theta.scalar), .columns),
        SparseEntries(spectrum.values(of: theta), at: spectrum.places, scale: factor),
        FixedMatrix(made.waves(columns, theta.scalar), share: "waves \(columns.name)"),
      ]
    ])
  }
}
