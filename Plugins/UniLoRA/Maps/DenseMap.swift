import Engine
import PEFTKernel

/// A dense P, as random subspaces were first made [arXiv:1804.08838]: P_pj ~ N(0, 1/D), so that PᵀP ≈ I. O(D·d) time and memory: what
/// the structured maps are measured against.
struct DenseMap: FactorMap {
  /// P [D, d].
  let values: Tensor

  var length: Int { values.columns }
  var positions: Int { values.rows }

  func project(_ theta: Tensor) -> Tensor {
    theta.reshaped([1, length]).multiplied(byTransposeOf: values.converted(to: theta.scalar)).reshaped([positions])
  }

  func check() throws(Refusal) {
    guard values.rank == 2, values.isFinite else { throw Refusal("the projection is no matrix of finite numbers") }
  }
}

extension DenseMap {
  /// Numbers of a P that may be held: a gibibyte.
  static let largest = 1 << 28

  /// P, drawn from `source`; files need not hold it.
  static func specs(positions: Int, length: Int, _ source: Philox) throws(Refusal) -> [TensorSpec] {
    guard positions.multipliedReportingOverflow(by: length).partialValue <= largest, length <= largest / max(1, positions) else {
      throw Refusal(
        "map gaussian would hold \(positions) times \(length) numbers, more than \(largest)",
        remedy: "use map fastfood, or a theta_d_length of at most \(max(1, largest / positions))")
    }
    let stream = source.stream("gaussian")
    let fill = Computation("unilora_gaussian \(stream.key) \(positions) \(length)") {
      var random = stream
      let deviation = 1 / Double(positions).squareRoot()
      return (0..<positions * length).map { _ in Float(deviation * random.normal()) }
    }
    return [
      TensorSpec(
        TensorKey("unilora_gaussian"), [positions, length], .constant, fill: .computed(fill), keep: .seeded, decays: false)
    ]
  }
}
