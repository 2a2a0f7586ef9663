import Blocks
import Engine
import PEFTKernel

/// ΔW = s·R_outᵀ·S·R_in with S [H, W] zero but for n trained numbers at places drawn from a seed, R one level of a wavelet transform
/// [arXiv:2505.12532]; without the transforms ΔW = s·S.
///
/// With filters of F taps an axis counts as H = out + F − 2, made even, S's numbers stand in the middle of it, and ΔW is the middle of
/// what they make: PEFT's form of a transform without borders. As no number then meets the row's other end, the periodised transform
/// of H is the same, with what it reads and writes put F/2 − 1 places in. Per token that is F·(W + H) multiplications for the
/// transforms, the input's once for all sites that read it, and n between them; no matrix of the weight's size is formed.
public struct SparseWavelets: Projection {
  /// n.
  public var count: Int
  public var pattern: SitePatterns
  /// Whether n·(count of sites) numbers are shared out by the sites' sizes.
  public var isProportional: Bool
  /// s.
  public var scaling: Double
  /// Nil where the numbers are the change's own entries.
  public var wavelet: Wavelet?
  public var seed: UInt64
  /// Whether θ starts at 0.
  public var startsAtBase: Bool
  private let made = MadePlaces()

  public init(
    count: Int = 2592, pattern: SitePatterns = SitePatterns(), isProportional: Bool = false, scaling: Double = 25,
    wavelet: Wavelet? = Wavelet("db1"), seed: UInt64 = 777, startsAtBase: Bool = true
  ) {
    self.count = count
    self.pattern = pattern
    self.isProportional = isProportional
    self.scaling = scaling
    self.wavelet = wavelet
    self.seed = seed
    self.startsAtBase = startsAtBase
  }

  static let spectrum = "waveft_spectrum"

  public func scale(at site: Site) -> Double { scaling }

  /// n of each of some sites.
  func counts(of sites: [Site]) -> [Int] {
    guard isProportional else { return sites.map { pattern[$0].flatMap { Int(exactly: $0) } ?? count } }
    let sizes = sites.map { Double($0.inputs * $0.outputs) }
    let (total, budget) = (sizes.reduce(0, +), Double(count * sites.count))
    return sizes.map { max(1, Int(($0 / total * budget).rounded(.toNearestOrEven))) }
  }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    if let pattern = pattern.unmatched(by: sites) {
      throw Refusal("n_frequency_pattern: '\(pattern)' matches no adapted site", remedy: "correct or remove it")
    }
    var specs: [TensorSpec] = []
    for (site, count) in zip(sites, counts(of: sites)) {
      try TorchRandom.check(
        count, of: "coefficients", at: site, orElse: "a pattern for the site or proportional_parameters: true")
      specs.append(
        TensorSpec(
          TensorKey(Self.spectrum, site.id), [count], .entries, fill: startsAtBase ? .zeros : .normal(deviation: 0.01)))
    }
    return specs
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    let theta = t[Self.spectrum, site.id]
    let (rows, columns) = (Axis(site.outputs, wavelet), Axis(site.inputs, wavelet))
    let list = made[MadePlaces.Key(rows: rows, columns: columns, count: theta.count, seed: seed)]
    let values = theta.reshaped([theta.count, 1]).gatherRows(list.order).reshaped([theta.count])
    let entries = SparseEntries(values, at: list.places, scale: scaling)
    return WeightChange(chains: [rows.synthesis(theta.scalar) + [entries] + columns.analysis(theta.scalar)])
  }
}

/// One axis and its transform.
struct Axis: Hashable, Sendable {
  /// out or in.
  let length: Int
  let transform: WaveletTransform?
  /// H or W.
  let padded: Int

  init(_ length: Int, _ wavelet: Wavelet?) {
    self.length = length
    transform = wavelet.map { WaveletTransform(filter: $0.filter, levels: 1) }
    let whole = length + (wavelet.map { $0.filter.count - 2 } ?? 0)
    padded = wavelet == nil ? length : whole + whole % 2
  }

  /// Where the axis lies within the padded one.
  private var range: Range<Int> {
    let start = transform.map { $0.filter.count / 2 - 1 } ?? 0
    return start..<start + length
  }

  /// What a chain begins with: [length] → bands of [padded].
  func analysis(_ scalar: ScalarType) -> [any LinearMap] {
    guard let transform else { return [] }
    let isWhole = range == 0..<padded
    return [WaveletAnalysis(transform, inputs: padded, scalar)] + (isWhole ? [] : [Placed(range, of: padded, scalar)])
  }

  /// What a chain ends with.
  func synthesis(_ scalar: ScalarType) -> [any LinearMap] {
    guard let transform else { return [] }
    let isWhole = range == 0..<padded
    return (isWhole ? [] : [Columns(range, of: padded, scalar)]) + [WaveletSynthesis(transform, outputs: padded, scalar)]
  }

  /// Where in S a number at `place` of the axis stands: in which half, and how far in it.
  func place(_ place: Int) -> (isHigh: Bool, number: Int) {
    guard transform != nil else { return (false, place) }
    let at = place + (padded - length) / 2
    return (at >= padded / 2, at % (padded / 2))
  }

  /// Which band coefficient that is: details come first in a transform's bands.
  func coefficient(isHigh: Bool, _ number: Int) -> Int { transform == nil || isHigh ? number : padded / 2 + number }
}
