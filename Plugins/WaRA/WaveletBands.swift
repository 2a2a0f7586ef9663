import Blocks
import Engine
import PEFTKernel

/// ΔW = s·Σ (P_band)ᵀ·B_band·A_band·Q_band: a low-rank product in every band of a wavelet transform of both axes.
///
/// With D_j, S_j the details and approximation of level j (superscripts o, i: output and input axis),
///
///     shared:       ΔW = s·(Σ_{j≤J} (D_jᵒ)ᵀ·B_j·A_j·D_jⁱ + (S_Jᵒ)ᵀ·B_J·A_J·S_Jⁱ)
///     independent:  ΔW = s·Σ (Pᵒ)ᵀ·B_band·A_band·Qⁱ over LH (S_j, D_j), HL (D_j, S_j), HH (D_j, D_j) of each level, LL (S_J, S_J)
///
/// Sizes n that 2^J does not divide count as N = 2^J·⌈n/2^J⌉: activations are continued by zeros, which on the weight cuts the
/// synthesis off. Per token: filters of F·(N_in + N_out) and 2·r·Σ(bands) products; neither a band matrix nor ΔW is ever formed.
struct WaveletBands: Projection {
  let rank: Int
  let scale: Double
  let wavelet: Wavelet
  let dropout: Double
  let transform: WaveletTransform
  let terms: [Term]

  enum Bands: String, CaseIterable {
    /// One pair a level, the last also for the approximation.
    case shared
    /// A pair for each band of the two-dimensional transform.
    case independent
  }

  /// One pair: what its tensors are called, and the bands of either axis it stands between.
  struct Term {
    var name: String
    var level: Int
    /// Several where the pair serves them at once.
    var places: [Place]
  }

  /// A band of the output axis and one of the input axis.
  struct Place {
    var outputs: WaveletTransform.Band
    var inputs: WaveletTransform.Band

    init(_ outputs: WaveletTransform.Band, _ inputs: WaveletTransform.Band) { (self.outputs, self.inputs) = (outputs, inputs) }
  }

  /// An alpha of nil is 2·rank.
  init(rank: Int, alpha: Double? = nil, wavelet: Wavelet, levels: Int, bands: Bands, dropout: Double = 0) {
    self.rank = rank
    scale = alpha.map { $0 / Double(rank) } ?? 2
    self.wavelet = wavelet
    self.dropout = dropout
    // Independent bands need the approximations on the way, too.
    transform = WaveletTransform(filter: wavelet.filter, levels: levels, parts: bands == .shared ? .basis : .pyramid)
    terms = (1...levels).flatMap { bands == .shared ? Self.shared($0, of: levels) : Self.independent($0, of: levels) }
  }

  private static func shared(_ j: Int, of levels: Int) -> [Term] {
    let last = j == levels ? [Place(.approximation(j), .approximation(j))] : []
    return [Term(name: "\(j)", level: j, places: [Place(.detail(j), .detail(j))] + last)]
  }

  private static func independent(_ j: Int, of levels: Int) -> [Term] {
    let (s, d) = (WaveletTransform.Band.approximation(j), WaveletTransform.Band.detail(j))
    let bands = [("LH", Place(s, d)), ("HL", Place(d, s)), ("HH", Place(d, d))] + (j == levels ? [("LL", Place(s, s))] : [])
    return bands.map { Term(name: "\(j)_\($0)", level: j, places: [$1]) }
  }

  func scale(at site: Site) -> Double { scale }

  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    for site in sites {
      try check(site)
      for term in terms {
        let (outputs, inputs) = (transform.padded(site.outputs) >> term.level, transform.padded(site.inputs) >> term.level)
        let pair = pair(term, site)
        specs.append(
          .init(
            TensorKey(term.down, site.id), [rank, inputs], .down(pair), fill: .uniform(bound: 1 / Double(inputs).squareRoot())))
        specs.append(.init(TensorKey(term.up, site.id), [outputs, rank], .up(pair)))
      }
    }
    return specs
  }

  private func check(_ site: Site) throws(Refusal) {
    let levels = transform.levels
    let side = min(site.outputs, site.inputs)
    let deepest = Int.bitWidth - 1 - max(1, side).leadingZeroBitCount
    guard levels <= deepest else {
      throw Refusal(
        "levels \(levels) halves \(site.id) [\(site.outputs), \(site.inputs)] more often than its \(side) numbers allow",
        remedy: deepest > 0 ? "use levels of at most \(deepest)" : "exclude the site")
    }
    let most = min(transform.padded(site.outputs), transform.padded(site.inputs)) >> levels
    guard rank <= most else {
      throw Refusal(
        "rank \(rank) exceeds what the last bands of \(site.id) [\(site.outputs), \(site.inputs)] can use at levels \(levels)",
        remedy: "use at most \(most)" + (levels > 1 ? ", or fewer levels" : ""))
    }
  }

  private func pair(_ term: Term, _ site: Site) -> Pair { Pair("\(site.id.path)#\(term.name)") }

  func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    change(at: site, prepared)
  }

  func change(at site: Site, _ t: Tensors) -> WeightChange {
    let chains = terms.map { term -> [any LinearMap] in
      let (down, up) = (t[term.down, site.id], t[term.up, site.id])
      let pair = pair(term, site)
      let analysis = WaveletAnalysis(transform, inputs: site.inputs, down.scalar)
      let synthesis = WaveletSynthesis(transform, outputs: site.outputs, down.scalar)
      let factors: [any LinearMap] =
        term.places.count == 1
        ? [Matrix(up, scale: scale, pair: pair), Matrix(down, pair: pair)]
        : [
          Repeated(up, copies: term.places.count, scale: scale, pair: pair),
          Repeated(down, copies: term.places.count, pair: pair),
        ]
      let outputs = term.columns(\.outputs, transform, site.outputs)
      let inputs = term.columns(\.inputs, transform, site.inputs)
      let placed: [any LinearMap] =
        outputs.count == synthesis.inputs ? [] : [Placed(outputs, of: synthesis.inputs, down.scalar)]
      let taken: [any LinearMap] = inputs.count == analysis.outputs ? [] : [Columns(inputs, of: analysis.outputs, down.scalar)]
      return [synthesis] + placed + factors + taken + [analysis]
    }
    return WeightChange(chains: chains)
  }
}

extension WaveletBands.Term {
  /// Names of A and B.
  var down: String { "wara_A_\(name)" }
  var up: String { "wara_B_\(name)" }

  /// Where the pair's bands stand, side by side, among those of one axis of n.
  fileprivate func columns(
    _ axis: KeyPath<WaveletBands.Place, WaveletTransform.Band>, _ transform: WaveletTransform, _ n: Int
  ) -> Range<Int> {
    let ranges = places.map { transform.columns(of: $0[keyPath: axis], in: n) }
    return ranges[0].lowerBound..<ranges[ranges.count - 1].upperBound
  }
}
