import Blocks
import Engine
import PEFTKernel

/// Rows with directions from a low-rank pair and lengths of their own [DoRA, arXiv:2402.09353, Eq. 5]:
///
///     W' = diag(m/n)·(W + s·B·A),   n_i = ‖(W + s·B·A)_i‖
///
/// with A [r, in], B [out, r] and the magnitude m [out]. n costs one product W·Aᵀ per optimizer step (`RowLengths`), a
/// forward pass one factor a row more than LoRA's.
public struct WeightDecomposed: Projection {
  /// A and B, their ranks, scales and dropout.
  public var pair: LowRank
  /// Whether n is a constant under differentiation.
  public var detachesNorm: Bool
  /// Bytes that the products behind n may take.
  public var chunk: Int

  /// Lengths below this are taken for it.
  static let least = 1e-12

  public init(pair: LowRank, detachesNorm: Bool = true, chunk: Int = 256 << 20) {
    self.pair = pair
    self.detachesNorm = detachesNorm
    self.chunk = chunk
  }

  enum Name {
    static let (down, up, magnitude) = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")
    /// g − 1, made by `prepare`.
    static let excess = "excess"
  }

  public var dropout: Double { pair.dropout }
  public func scale(at site: Site) -> Double { pair.scale(at: site) }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    let factors = try pair.layout(of: sites)
    return sites.flatMap { site in
      var specs = factors.filter { $0.key.scope == .site(site.id) }
      // Where n moves with them, A and B do not occur as their product alone.
      if !detachesNorm { for i in specs.indices { specs[i].role = specs[i].role.isDown ? .down(nil) : .up(nil) } }
      return specs + [TensorSpec(TensorKey(Name.magnitude, site.id), [site.outputs], .magnitude, decays: false)]
    }
  }

  /// m = n, by the same routine: g is 1 to the bit, however A and B start.
  public func complete(_ started: Tensors, at site: Site, on base: any BaseMap) throws(Refusal) -> Start {
    let lengths = lengths(started, at: site, on: base)
    guard lengths.isFinite else {
      throw Refusal("the rows of \(site.id) have no finite lengths", remedy: "check the base's weights, or leave the site out")
    }
    let empty = lengths.values.count { $0 == 0 }
    let notes = empty == 0 ? [] : ["\(empty) rows of \(site.id) are zero: they have no direction, and stay as they are"]
    return Start(Tensors([TensorKey(Name.magnitude, site.id): lengths]), notes: notes)
  }

  public func check(_ stored: Tensors) throws(Refusal) {
    for (key, tensor) in stored.values where !tensor.isFinite { throw Refusal("tensor \(key) is not finite") }
  }

  /// g − 1 = (m − n)/n of every site: exact near 1, where the subtraction is (Sterbenz) and m/n − 1 would not be.
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    var prepared = stored
    let keys = stored.values.keys.filter { $0.name == Name.magnitude }.sorted { $0.description < $1.description }
    for case .site(let id) in keys.map(\.scope) {
      let site = Site(id: id, outputs: stored[Name.up, id].rows, inputs: stored[Name.down, id].columns)
      var n = lengths(stored, at: site, on: bases[id])
      if detachesNorm { n = now.stop(n) }
      let missing = n.values.map { max(0, Self.least - $0) }
      if missing.contains(where: { $0 > 0 }) { n = n + Tensor(missing, shape: n.shape, n.scalar) }
      prepared[Name.excess, id] = (stored[Name.magnitude, id] - n) / n
    }
    return prepared
  }

  /// n.
  private func lengths(_ stored: Tensors, at site: Site, on base: any BaseMap) -> Tensor {
    let (up, down) = (stored[Name.up, site.id], stored[Name.down, site.id])
    // What is differentiated is always the factored form.
    if detachesNorm, RowLengths.prefersDense(rank: up.columns, outputs: up.rows, inputs: down.columns) {
      return RowLengths.dense(of: base, up: up, down: down, scale: scale(at: site))
    }
    return factoredLengths(stored, at: site, on: base).value
  }

  func factoredLengths(_ stored: Tensors, at site: Site, on base: any BaseMap) -> RowLengths {
    var (up, down) = (stored[Name.up, site.id], stored[Name.down, site.id])
    if detachesNorm { (up, down) = (up.detached, down.detached) }
    return RowLengths(of: base, up: up, down: down, scale: scale(at: site), chunk: chunk)
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    let promise = detachesNorm ? Pair(site.id.path) : nil
    let excess = t[Name.excess, site.id]
    return WeightChange(
      chains: [
        [Matrix(t[Name.up, site.id], scale: scale(at: site), pair: promise), Matrix(t[Name.down, site.id], pair: promise)]
      ],
      gain: excess.addingRow(Tensor(repeating: 1, shape: excess.shape, excess.scalar)), excess: excess)
  }
}

extension WeightDecomposed: Approximating {
  /// The pair comes as near as it can; m follows from it (`complete`), so that g = 1. Turning lengths too might come nearer.
  public func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    var near = try pair.approximate(target, at: site, layout, derived, random)
    near.isBest = false
    return near
  }
}
