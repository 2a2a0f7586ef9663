import Blocks
import Engine
import PEFTKernel

/// A weight changed in the basis of its own singular vectors [arXiv:2503.16055].
///
///     W = U·diag(σ)·V,   W' = U·ρ(K)·V,   K = diag(α ⊙ σ_top + β) ⊕ (diag(σ_rest) + X·Y)
///
/// U [out, k], σ [k], V [k, in] with k = min(out, in); the first p directions are the top, the other m = k − p the rest. α, β [p]
/// scale and shift the top, X [m, r] and Y [r, m] mix the rest, ρ is the entrywise ReLU or the identity.
///
/// What is computed is ΔW = U·(ρ(K) − diag(σ))·V beside the base, which is exactly zero at the start. Without ReLU it stays a chain
/// of rank p + r: a row costs (p + r)·(in + out). With it X·Y is needed whole, once per step; a row then costs k·(in + out) + m², or
/// in·out where so many rows are at hand that ΔW is better formed.
public struct Spectrum: Projection {
  /// How many directions are the top.
  public var top: Top
  /// r.
  public var rank: Int
  /// Whether the core is cut off at zero, as published.
  public var clips: Bool
  /// λ of the penalty λ·Σ ‖(α − 1) ⊙ σ_top + β‖₂ + ‖X·Y‖_F over the sites.
  public var penaltyWeight: Double
  /// Whether files hold U, σ and V; else they are derived again from the base, which must then give the same.
  public var storesBasis: Bool

  public enum Top: Sendable, Hashable {
    case count(Int)
    /// p = max(1, ⌊k·share⌋).
    case share(Double)
  }

  public init(top: Top = .share(0.1), rank: Int = 8, clips: Bool = true, penaltyWeight: Double = 0, storesBasis: Bool = true) {
    self.top = top
    self.rank = rank
    self.clips = clips
    self.penaltyWeight = penaltyWeight
    self.storesBasis = storesBasis
  }

  /// k, p and m of a site.
  func sizes(at site: Site) -> (all: Int, top: Int, rest: Int) {
    let all = min(site.outputs, site.inputs)
    let count: Int
    switch top {
    case .count(let given): count = given
    case .share(let share): count = max(1, min(all, Int(Double(all) * share)))
    }
    return (all, count, all - count)
  }

  /// X and Y occur as X·Y alone, whatever becomes of the product.
  private func pair(at site: Site) -> Pair { Pair(site.id.path) }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    for site in sites {
      let (all, top, rest) = sizes(at: site)
      guard top <= all else {
        throw Refusal(
          "salt_rank \(top) exceeds the \(all) singular values of \(site.id) [\(site.outputs), \(site.inputs)]",
          remedy: "use at most \(all)")
      }
      let ones = Fill.values(Array(repeating: 1, count: top))
      // Decay would pull α to 0, which is far from where it starts.
      specs.append(TensorSpec(TensorKey("salt_scale", site.id), [top], .diagonal, fill: ones, decays: false))
      specs.append(TensorSpec(TensorKey("salt_shift", site.id), [top], .diagonal, decays: false))
      if rest > 0 {
        let fill = Fill.uniform(bound: (6 / Double(rank)).squareRoot())
        specs.append(TensorSpec(TensorKey("lora_X", site.id), [rest, rank], .up(pair(at: site)), fill: fill))
        specs.append(TensorSpec(TensorKey("lora_Y", site.id), [rank, rest], .down(pair(at: site))))
      }
      for (name, shape) in [("svd_u", [site.outputs, all]), ("svd_s", [all]), ("svd_vt", [all, site.inputs])] {
        specs.append(
          TensorSpec(TensorKey(name, site.id), shape, .basis, keep: storesBasis ? .stored : .derived, decays: false))
      }
    }
    return specs
  }

  /// U, σ and V of the base, each pair of vectors with the sign that makes the largest entry of u positive.
  public func derive(_ layout: [TensorSpec], at site: Site, on base: any BaseMap) throws(Refusal) -> Tensors {
    let basis: (u: Tensor, s: [Double], v: Tensor)
    do { basis = try LinearAlgebra.svd(base.weight(as: .float64)) } catch {
      throw Refusal("the weight of \(site.id) has no singular vectors: \(error)", remedy: "check the base, or exclude the site")
    }
    return Tensors([
      TensorKey("svd_u", site.id): basis.u.converted(to: .float32), TensorKey("svd_s", site.id): Tensor(basis.s),
      TensorKey("svd_vt", site.id): basis.v.converted(to: .float32),
    ])
  }

  /// Trained numbers are coordinates in one basis, whose signs the ReLU sees: another basis of the same weight is another adapter.
  public func check(_ stored: Tensors) throws(Refusal) {
    for (key, u) in stored.values.sorted(by: { $0.key.description < $1.key.description }) where key.name == "svd_u" {
      if let column = u.flippedColumn {
        throw Refusal(
          "the basis of \(key.scope.place) has the other sign in direction \(column): the largest entry of column \(column) of svd_u "
            + "is negative", remedy: "negate that column of svd_u and row \(column) of svd_vt, or store the basis as it was made")
      }
      let s = stored[TensorKey("svd_s", key.scope)].values
      guard zip(s, s.dropFirst()).allSatisfy({ $0 >= $1 }), s.allSatisfy({ $0 >= 0 }) else {
        throw Refusal("svd_s of \(key.scope.place) does not hold singular values: they fall and are not negative")
      }
    }
  }

  /// Once per step: the top's change, and of the rest the clipped core, or the thin product U_rest·X beside Y·V_rest.
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    var prepared = stored
    for (key, scale) in stored.values where key.name == "salt_scale" {
      func name(_ name: String) -> TensorKey { TensorKey(name, key.scope) }
      let (u, s, v) = (stored[name("svd_u")], stored[name("svd_s")], stored[name("svd_vt")])
      let (p, k) = (scale.count, s.count)
      let (top, rest) = (s.slice(rows: 0..<p), s.slice(rows: p..<k))
      // α − 1 first: near the start α·σ − σ would be rounding alone.
      let free = (scale + Tensor(repeating: -1, shape: [p], scale.scalar)) * top + stored[name("salt_shift")]
      prepared[name("free")] = free
      prepared[name("top")] = clips ? (free + top).relu - top : free
      if !clips { prepared[name("u_top")] = u.slice(columns: 0..<p) }
      guard let x = stored.values[name("lora_X")] else { continue }
      let y = stored[name("lora_Y")]
      if clips {
        prepared[name("core")] = x.multiplied(by: y).relu(shiftedBy: rest)
      } else {
        // U whole with zeros over X, rather than a copy of its columns.
        prepared[name("up")] = u.multiplied(by: .joinedRows([.zeros([p, x.columns], x.scalar), x]))
        prepared[name("down")] = y.multiplied(by: v.slice(rows: p..<k))
      }
    }
    return prepared
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    WeightChange(chains: chains(at: site, t))
  }

  private func chains(at site: Site, _ t: Tensors) -> [[any LinearMap]] {
    let (u, v, top) = (t["svd_u", site.id], t["svd_vt", site.id], Diagonal(t["top", site.id]))
    guard !clips else {
      guard let core = t.optional("core", site.id) else { return [[Matrix(u), top, Matrix(v)]] }
      return [[Matrix(u), BlockDiagonal([top, Matrix(core)]), Matrix(v)]]
    }
    let thick: [any LinearMap] = [Matrix(t["u_top", site.id]), top, Matrix(v.slice(rows: 0..<top.inputs))]
    guard let up = t.optional("up", site.id) else { return [thick] }
    return [thick, [Matrix(up), Matrix(t["down", site.id])]]
  }

  public func output(_ call: SiteCall, _ t: Tensors) -> Tensor {
    let site = call.site
    var chains = chains(at: site, t)
    if clips {
      var t = t
      if let observer = call.pass.observer, let core = t.optional("core", site.id) {
        t["core", site.id] = observed(core, at: site, t, observer)
        chains = self.chains(at: site, t)
      }
      if forms(call.input.rows, at: site) { chains = [[Matrix(formed(at: site, t))]] }
    } else if call.pass.observer != nil, let x = t.optional("lora_X", site.id) {
      // A pair is observed in its own coordinates, those of the singular basis.
      let (u, v, p) = (t["svd_u", site.id], t["svd_vt", site.id], sizes(at: site).top)
      chains[1] = [
        Matrix(u.slice(columns: p..<u.columns)), Matrix(x, pair: pair(at: site)),
        Matrix(t["lora_Y", site.id], pair: pair(at: site)), Matrix(v.slice(rows: p..<v.rows)),
      ]
    }
    var y = call.baseOutput
    for chain in chains { y = call.apply(chain, to: call.input, addedTo: y) }
    return y
  }

  /// Whether ΔW is better formed for so many rows.
  func forms(_ rows: Int, at site: Site) -> Bool {
    let (all, _, rest) = sizes(at: site)
    let (k, m, out, inputs, n) = (Double(all), Double(rest), Double(site.outputs), Double(site.inputs), Double(rows))
    return n * (k * (inputs + out) + m * m) > out * m * m + out * k * inputs + n * inputs * out
  }

  /// ΔW [out, in].
  private func formed(at site: Site, _ t: Tensors) -> Tensor {
    let (u, top) = (t["svd_u", site.id], t["top", site.id])
    var parts = [u.slice(columns: 0..<top.count).multipliedByRow(top)]
    if let core = t.optional("core", site.id) {
      parts.append(u.slice(columns: top.count..<u.columns).multiplied(by: core))
    }
    return Tensor.joinedColumns(parts).multiplied(by: t["svd_vt", site.id])
  }

  /// Through the ReLU, X·Y is seen by the gradient of the clipped core where it is not cut off.
  private func observed(_ core: Tensor, at site: Site, _ t: Tensors, _ observer: any PairObserver) -> Tensor {
    let (pair, kept, p) = (pair(at: site), core.detached, t["top", site.id].count)
    let rest = t["svd_s", site.id].slice(rows: p..<p + core.rows)
    return core.observingGradient { dy in
      let slope = kept.reluSlope(shiftedBy: rest, times: dy)
      observer.saw(pair, u: .identity(slope.columns, slope.scalar), v: slope.transposed)
    }
  }

  public func penalty(_ t: Tensors, _ now: Moment) -> Tensor? {
    guard penaltyWeight > 0 else { return nil }
    var sum: Tensor?
    for key in t.values.keys.filter({ $0.name == "free" }).sorted(by: { $0.description < $1.description }) {
      var term = t[key].length
      if let x = t.values[TensorKey("lora_X", key.scope)] {
        term = term + x.productLength(t[TensorKey("lora_Y", key.scope)])
      }
      sum = sum.map { $0 + term } ?? term
    }
    return sum.map { $0 * penaltyWeight }
  }
}

extension Scope {
  fileprivate var place: String {
    switch self {
    case .site(let id): id.path
    case .model: "the model"
    }
  }
}

extension Tensor {
  /// The first column whose largest entry is negative, and so by more than rounding.
  fileprivate var flippedColumn: Int? {
    let (values, width) = (self.values, columns)
    return (0..<width).first { j in
      var (highest, lowest) = (0.0, 0.0)
      for i in stride(from: j, to: values.count, by: width) {
        highest = max(highest, values[i])
        lowest = min(lowest, values[i])
      }
      return highest < -lowest * (1 - 1e-5)
    }
  }
}
