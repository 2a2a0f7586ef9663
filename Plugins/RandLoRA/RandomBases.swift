import Blocks
import Engine
import PEFTKernel

/// ΔW = s·V·U, or its transpose where out < in, with V a frozen random matrix and U made of trained scales [arXiv:2502.00987].
///
///     U[k·N + b, :] = λ[k, b]·A[k, :] ⊙ γ[b, :],   V[:, b·r + k] = B[:, b, k],   N = ⌈m/r⌉,  m = min(out, in),  M = max(out, in)
///
/// U [r·N, m], V [M, r·N]; s = alpha/r, over √N if that is wanted. A [r, 1, m_max] and B [M_max, N_max, r] serve every site by their
/// leading parts. Row k·N + b of U meets column k·N + b of V, whose own number is another: so PEFT flattens it, and so its files mean
/// it. With pairing by basis rows of U come in the order of V's columns, b·r + k, and the product is the paper's sum.
///
/// Per token and site r·N·(m + M) multiplications, a little more than the map itself: no small rank saves any. U and V·U are as large as
/// the weight and are never held: they are made where a product needs them, in forward and in backward.
public struct RandomBases: Projection {
  public enum Pairing: String, Sendable, CaseIterable {
    case flat
    case basis
  }

  /// What the bases are drawn from.
  public enum Kind: Sendable, Hashable {
    /// A uniform distribution.
    case dense
    /// −1, 0 and 1, with 1/6, 2/3 and 1/6.
    case sparse
    /// The same with 1/(2√m_max) for −1 and 1.
    case verySparse
  }

  public var rank: Int
  public var alpha: Double
  public var dividesByRoot: Bool
  public var pairing: Pairing
  public var kind: Kind
  public var seed: UInt64
  public var savesProjection: Bool
  /// Whether λ starts at 0.
  public var startsAtBase: Bool
  public var dropout: Double

  public init(
    rank: Int = 32, alpha: Double = 640, dividesByRoot: Bool = false, pairing: Pairing = .flat, kind: Kind = .dense,
    seed: UInt64 = 0, savesProjection: Bool = true, startsAtBase: Bool = true, dropout: Double = 0
  ) {
    self.rank = rank
    self.alpha = alpha
    self.dividesByRoot = dividesByRoot
    self.pairing = pairing
    self.kind = kind
    self.seed = seed
    self.savesProjection = savesProjection
    self.startsAtBase = startsAtBase
    self.dropout = dropout
  }

  static let down = "randlora_A"
  static let up = "randlora_B"
  static let lambda = "randlora_lambda"
  static let gamma = "randlora_gamma"

  /// N.
  func count(at site: Site) -> Int { count(for: min(site.outputs, site.inputs)) }

  private func count(for side: Int) -> Int { (side + rank - 1) / rank }

  public func scale(at site: Site) -> Double {
    let scale = alpha / Double(rank)
    return dividesByRoot ? scale / Double(count(at: site)).squareRoot() : scale
  }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    guard let inputs = sites.map(\.inputs).max(), let outputs = sites.map(\.outputs).max() else { return [] }
    let (side, length) = (min(inputs, outputs), max(inputs, outputs))
    let draw = BasisDraw(rank: rank, side: side, length: length, count: count(for: side), kind: kind, seed: seed)
    let keep: Keep = savesProjection ? .stored : .seeded
    var specs = [
      TensorSpec(TensorKey(Self.down), draw.downShape, .constant, fill: .computed(draw.down), keep: keep, decays: false),
      TensorSpec(TensorKey(Self.up), draw.upShape, .constant, fill: .computed(draw.up), keep: keep, decays: false),
    ]
    for site in sites {
      let (count, side) = (count(at: site), min(site.outputs, site.inputs))
      let even = Computation("randlora gamma \(count) \(side)") {
        [Float](repeating: 1 / Float(max(count, side)), count: count * side)
      }
      specs.append(
        TensorSpec(
          TensorKey(Self.lambda, site.id), [rank, count], .diagonal, fill: startsAtBase ? .zeros : .normal(deviation: 1)))
      specs.append(TensorSpec(TensorKey(Self.gamma, site.id), [count, side], .diagonal, fill: .computed(even)))
    }
    return specs
  }

  /// Bases that are all zero, or one number, cannot be brought to a deviation of 1.
  public func check(_ stored: Tensors) throws(Refusal) {
    for name in [Self.down, Self.up] {
      guard let tensor = stored.optional(name) else { throw Refusal("the adapter lacks \(name)") }
      guard tensor.isFinite else {
        throw Refusal(
          "\(name) \(tensor.shape) holds what is no number", remedy: "use another projection_prng_key, or dense bases")
      }
    }
  }

  /// The leading parts of A and B that sites use, each once for all sites that use the same.
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    var prepared = stored
    let (down, up) = (stored[Self.down], stored[Self.up])
    for key in stored.values.keys where key.name == Self.gamma {
      let (count, side) = (stored[key].rows, stored[key].columns)
      if prepared.optional(Self.part(Self.down, side)) == nil { prepared[Self.part(Self.down, side)] = directions(down, side) }
      if prepared.optional(Self.part(Self.up, count)) == nil { prepared[Self.part(Self.up, count)] = columns(up, count) }
    }
    return prepared
  }

  private static func part(_ name: String, _ size: Int) -> String { "\(name) \(size)" }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    let (lambda, gamma) = (t[Self.lambda, site.id], t[Self.gamma, site.id])
    let product = RandomProduct(
      columns: t[Self.part(Self.up, gamma.rows)].slice(rows: 0..<max(site.outputs, site.inputs)),
      rows: ScaledBasis(directions: t[Self.part(Self.down, gamma.columns)], lambda: lambda, gamma: gamma, pairing: pairing),
      scale: scale(at: site), side: site.inputs <= site.outputs ? .rows : .columns)
    return WeightChange(chains: [[product]])
  }

  /// A[:, 0, :m] as a matrix [r, m].
  private func directions(_ all: Tensor, _ side: Int) -> Tensor {
    let rows = all.reshaped([all.shape[0], all.columns])
    return rows.columns == side ? rows : rows.slice(columns: 0..<side)
  }

  /// V [M_max, r·N] for N bases.
  private func columns(_ all: Tensor, _ count: Int) -> Tensor {
    let rows = all.reshaped([all.shape[0], all.shape[1] * rank])
    return rows.columns == count * rank ? rows : rows.slice(columns: 0..<count * rank)
  }
}
