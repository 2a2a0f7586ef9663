import Engine
import PEFTKernel

/// ΔW = s·F with F [out, in] zero but for k trained values at stored places: what sparse tuning of a weight has in common
/// [arXiv:2406.13175].
///
///     F[i_l, j_l] = θ_l,   y_i = (x·Wᵀ)_i + s·Σ_{l: i_l = i} θ_l·x_{j_l}
///
/// k = r·(in + out), as many as LoRA of rank r has, or a share of all entries. θ starts at 0, so the places are the whole start. The
/// rank of ΔW is far above r. Cost per token: k multiplications; the gradient is sampled, a dense one never formed.
public struct MaskedEntries: Projection {
  public enum Size: Sendable, Hashable {
    case rank(Int)
    /// k over in·out.
    case density(Double)
  }

  public var size: Size
  /// s.
  public var scaling: Double

  public init(size: Size, scaling: Double = 1) {
    self.size = size
    self.scaling = scaling
  }

  /// Names of θ [k] and its places [2, k].
  public static let values = "shira_weight"
  public static let indices = "shira_indices"

  public func scale(at site: Site) -> Double { scaling }

  /// k.
  public func count(at site: Site) -> Int {
    switch size {
    case .rank(let rank): rank * (site.inputs + site.outputs)
    case .density(let density): Int((density * Double(site.inputs * site.outputs)).rounded())
    }
  }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    for site in sites {
      let (count, all) = (count(at: site), site.inputs * site.outputs)
      guard count <= all else {
        let largest = all / (site.inputs + site.outputs)
        throw Refusal(
          "\(site.id) [\(site.outputs), \(site.inputs)] has \(all) entries, fewer than the \(count) asked for",
          remedy: largest > 0 ? "use a rank of at most \(largest), or a density" : "use a density, or leave the site out")
      }
      guard count > 0 else {
        throw Refusal(
          "the density leaves no entry of \(site.id) [\(site.outputs), \(site.inputs)]",
          remedy: "use a density of at least \(1 / Double(all)), or leave the site out")
      }
      specs.append(TensorSpec(TensorKey(Self.values, site.id), [count], .entries))
      specs.append(
        TensorSpec(
          TensorKey(Self.indices, site.id), [2, count], .index, fill: .places(rows: site.outputs, columns: site.inputs),
          decays: false))
    }
    return specs
  }

  public func check(_ stored: Tensors, at sites: [Site]) throws(Refusal) {
    for site in sites { _ = try places(stored, at: site) }
  }

  private func places(_ stored: Tensors, at site: Site) throws(Refusal) -> SparsePlaces {
    try SparseEntries.places(TensorKey(Self.indices, site.id), of: stored, outputs: site.outputs, inputs: site.inputs)
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    WeightChange(chains: [[SparseEntries(t[Self.values, site.id], at: try places(t, at: site), scale: scaling)]])
  }
}

/// A projection whose trained numbers are entries of the weight, so that a start may choose their places.
public protocol ChoosingEntries: Projection {
  var entries: MaskedEntries { get }
}

extension ChoosingEntries {
  /// Refuses a layout whose places follow from options: a start that chooses them would not be heard.
  public func checkPlacesAreFree(_ layout: [TensorSpec], for start: String) throws(Refusal) {
    for spec in layout where spec.role == .index {
      if case .places = spec.fill { continue }
      throw Refusal(
        "start \(start) chooses places that options choose already, at \(spec.key)",
        remedy: "leave out the options that say or draw places, or start by fill")
    }
  }
}

extension MaskedEntries: ChoosingEntries {
  public var entries: MaskedEntries { self }
}

extension MaskedEntries: Approximating {
  /// Frobenius: the k largest entries, which is best. Gram, with C: places by M_ij²·C_jj, what an entry alone does to the output, and
  /// the values that are best there, C[J, J]·f = (M·C)[i, J] for the places J of row i.
  public func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    let matrix = target.matrix.converted(to: .float64)
    guard matrix.isFinite else {
      throw Refusal("the matrix that \(site.id) is to start from is not finite", remedy: "check the weights and the data")
    }
    guard scaling > 0 else {
      throw Refusal("\(site.id) is scaled by 0, so no entries come near a target", remedy: "use a scaling above 0")
    }
    let (count, squares) = (count(at: site), matrix * matrix)
    let support: Support
    let values: Tensor
    var isBest = count == matrix.count
    switch target.metric {
    case .frobenius:
      support = .largest(count, of: squares)
      values = try support.values(right: matrix, gram: nil)
      isBest = true
    case .gram(let gram):
      let gram = gram.converted(to: .float64)
      guard gram.isFinite else {
        throw Refusal("the Gram matrix of the inputs of \(site.id) is not finite", remedy: "check the data")
      }
      let entries = gram.values
      let energies = Tensor((0..<gram.rows).map { entries[$0 * gram.columns + $0] }, .float64)
      support = .largest(count, of: squares.multipliedByRow(energies))
      values = try support.values(right: matrix.multiplied(by: gram), gram: gram)
    }
    let tensors = Tensors([
      TensorKey(Self.values, site.id): (values * (1 / scaling)).converted(to: .float32),
      TensorKey(Self.indices, site.id): support.index,
    ])
    let reached = tensors[Self.values, site.id].converted(to: .float64).scattered(
      at: try places(tensors, at: site), scale: scaling)
    return Approximation(tensors, error: target.metric.length(of: matrix - reached), isBest: isBest)
  }
}

extension MaskedEntries {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec(
      "rank", .integer(1...1 << 20), default: .int(32), "rank of the LoRA with as many numbers, r·(in + out)",
      aliases: [.init("r")]),
    OptionSpec(
      "density", .number(0...1, aboveLower: true), default: .null, "share of a weight's entries; null to follow from the rank"),
    OptionSpec(
      "scaling", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .double(1), "factor s of the change"),
  ]

  public init(_ options: Options) {
    self.init(
      size: options.optionalDouble("density").map(Size.density) ?? .rank(options.int("rank")),
      scaling: options.double("scaling"))
  }
}
