import Blocks
import Engine
import PEFTKernel

/// ΔW = diag(λ_b)·B[:out]·diag(λ_d)·A[:, :in] with one frozen random A [r, in_max] and B [out_max, r] for all sites
/// [arXiv:2310.11454].
///
/// in_max and out_max are the largest sizes among the sites. A and B are those of PEFT: drawn by PyTorch's generator, so that files
/// without them mean the same there and here. λ_d [r] and λ_b [out] are trained. Per token and site r·(in + out) multiplications; what A
/// makes of an input is computed once for all sites that read it.
public struct SharedFactors: Projection {
  public var rank: Int
  /// What λ_d starts at; nil for draws.
  public var initial: Double?
  public var seed: UInt64
  /// Whether files hold A and B.
  public var savesProjection: Bool
  public var dropout: Double

  public init(
    rank: Int = 256, initial: Double? = 0.1, seed: UInt64 = 0, savesProjection: Bool = true, dropout: Double = 0
  ) {
    self.rank = rank
    self.initial = initial
    self.seed = seed
    self.savesProjection = savesProjection
    self.dropout = dropout
  }

  static let down = "vera_A"
  static let up = "vera_B"
  static let inner = "vera_lambda_d"
  static let outer = "vera_lambda_b"

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    guard let inputs = sites.map(\.inputs).max(), let outputs = sites.map(\.outputs).max() else { return [] }
    let draw = RandomFactors(rank: rank, inputs: inputs, outputs: outputs, seed: seed)
    let keep: Keep = savesProjection ? .stored : .seeded
    var specs = [
      TensorSpec(TensorKey(Self.down), [rank, inputs], .constant, fill: .computed(draw.down), keep: keep, decays: false),
      TensorSpec(TensorKey(Self.up), [outputs, rank], .constant, fill: .computed(draw.up), keep: keep, decays: false),
    ]
    for site in sites {
      let inner: Fill = initial.map { Self.constant($0, rank) } ?? .normal(deviation: 1)
      let outer: Fill = initial == nil ? Self.constant(1, site.outputs) : .zeros
      specs.append(TensorSpec(TensorKey(Self.inner, site.id), [rank], .diagonal, fill: inner))
      specs.append(TensorSpec(TensorKey(Self.outer, site.id), [site.outputs], .diagonal, fill: outer))
    }
    return specs
  }

  private static func constant(_ value: Double, _ count: Int) -> Fill {
    .computed(Computation("vera \(value) \(count)") { [Float](repeating: Float(value), count: count) })
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    let (down, up) = (t[Self.down], t[Self.up])
    let own = down.columns == site.inputs ? down : down.slice(columns: 0..<site.inputs)
    return WeightChange(chains: [
      [
        ScaledRows(up.slice(rows: 0..<site.outputs), lengths: t[Self.outer, site.id]), Diagonal(t[Self.inner, site.id]),
        FixedMatrix(own, share: Self.down),
      ]
    ])
  }
}

/// A and B as PEFT draws them, one after the other from one generator.
struct RandomFactors {
  let rank: Int
  let inputs: Int
  let outputs: Int
  let seed: UInt64

  private var name: String { "vera \(seed) \(rank) \(inputs) \(outputs)" }

  /// A [r, in_max], uniform within √6/√in_max.
  var down: Computation {
    Computation("\(name) A") {
      var random = TorchRandom(seed: seed)
      return Self.uniform(rank * inputs, fan: inputs, &random)
    }
  }

  /// B [out_max, r], uniform within √6/√r.
  var up: Computation {
    Computation("\(name) B") {
      var random = TorchRandom(seed: seed)
      random.skip(rank * inputs)
      return Self.uniform(outputs * rank, fan: rank, &random)
    }
  }

  private static func uniform(_ count: Int, fan: Int, _ random: inout TorchRandom) -> [Float] {
    let bound = 3.0.squareRoot() * (2.0.squareRoot() / Double(fan).squareRoot())
    return random.uniform(count, in: -bound..<bound)
  }
}
