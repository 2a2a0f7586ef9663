import Blocks
import Engine
import PEFTKernel

/// ΔW = α·F·P with F [out, n'] sparse and P [n', in] the Walsh–Hadamard transform of the input axis [arXiv:2509.17428, Eq. 4].
///
///     F[i_l, j_l] = θ_l,   P = H[:, 0..<in]/√n',   y = x·Wᵀ + α·(x·Pᵀ)·Fᵀ
///
/// θ [p] are the trained numbers, their places are stored. n' = in wherever there is a Hadamard matrix of that size (see
/// `Hadamard`), else the next size. One coefficient moves a whole row of the weight, by ±αθ/√n'; rank(ΔW) = rank(F), nearly full.
/// Cost per token: n'·(log₂ n' and a little) additions, once for all sites that read one input, and p multiplications.
public struct SparseSpectrum: Projection {
  public enum Size: Sendable, Hashable {
    /// p = r·(in + out), as many as LoRA of rank r has.
    case rank(Int)
    /// p itself.
    case count(Int)
  }

  public enum Factor: Sendable, Hashable {
    /// α, for an orthonormal P.
    case alpha(Double)
    /// α·√(in·out).
    case scaling(Double)
  }

  public enum Allocation: String, CaseIterable, Sendable {
    /// By the error of each row's output (the paper).
    case output
    /// By the error of each row's weight (the authors' code).
    case weight
  }

  public enum Selection: String, CaseIterable, Sendable {
    /// The largest coefficients (the paper).
    case magnitude
    /// Those whose squares, times the energy of the input along them, are largest (the authors' code).
    case energy
  }

  public var size: Size
  public var factor: Factor
  public var allocation: Allocation
  public var selection: Selection
  /// t of `AdaAlloc`.
  public var temperature: Double
  private let transforms = WalshHadamard.Sizes()

  public init(
    size: Size, factor: Factor = .alpha(1), allocation: Allocation = .output, selection: Selection = .magnitude,
    temperature: Double = 1
  ) {
    self.size = size
    self.factor = factor
    self.allocation = allocation
    self.selection = selection
    self.temperature = temperature
  }

  static let spectrum = "qwha_spectrum"
  static let indices = "qwha_indices"

  public func scale(at site: Site) -> Double {
    switch factor {
    case .alpha(let alpha): alpha
    case .scaling(let scaling): scaling / (Double(site.inputs) * Double(site.outputs)).squareRoot()
    }
  }

  func transform(at site: Site) -> Hadamard { transforms[site.inputs] }

  /// p.
  func count(at site: Site) -> Int {
    switch size {
    case .rank(let rank): rank * (site.inputs + site.outputs)
    case .count(let count): count
    }
  }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    for site in sites {
      let (count, width) = (count(at: site), transform(at: site).size)
      guard count <= site.outputs * width else { throw tooMany(count, width, site) }
      specs.append(TensorSpec(TensorKey(Self.spectrum, site.id), [count], .entries))
      specs.append(
        TensorSpec(
          TensorKey(Self.indices, site.id), [2, count], .index, fill: .places(rows: site.outputs, columns: width), decays: false))
    }
    return specs
  }

  private func tooMany(_ count: Int, _ width: Int, _ site: Site) -> Refusal {
    let all = site.outputs * width
    let largest = all / (site.inputs + site.outputs)
    let remedy =
      switch size {
      case .rank where largest > 0: "use a rank of at most \(largest)"
      case .rank: "use a count of at most \(all), or leave the site out"
      case .count: "use a count of at most \(all)"
      }
    return Refusal(
      "\(site.id) [\(site.outputs), \(site.inputs)] has \(all) Walsh–Hadamard coefficients, fewer than the \(count) asked for",
      remedy: remedy)
  }

  public func check(_ stored: Tensors, at sites: [Site]) throws(Refusal) {
    for site in sites { _ = try places(stored, at: site) }
  }

  func places(_ stored: Tensors, at site: Site) throws(Refusal) -> SparsePlaces {
    try SparseEntries.places(
      TensorKey(Self.indices, site.id), of: stored, outputs: site.outputs, inputs: transform(at: site).size)
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    let theta = t[Self.spectrum, site.id]
    let entries = SparseEntries(theta, at: try places(t, at: site), scale: scale(at: site))
    return WeightChange(chains: [[entries, WalshHadamard(transform(at: site), as: theta.scalar)]])
  }
}
