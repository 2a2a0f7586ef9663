import Engine
import PEFTKernel
import Synchronization

extension Law {
  /// Who watches a pair is shown u and v with ∂/∂(B·A) = vᵀ·u: from that product the factors' own gradients follow.
  func pairs(_ trial: Trial) throws -> [String] {
    var faults: [String] = []
    for bench in try trial.benches() {
      var factors: [Pair: (down: TensorSpec?, up: TensorSpec?)] = [:]
      for spec in bench.trainable {
        guard let pair = spec.role.pair else { continue }
        if case .down = spec.role { factors[pair, default: (nil, nil)].down = spec }
        if case .up = spec.role { factors[pair, default: (nil, nil)].up = spec }
      }
      if factors.isEmpty { continue }
      let adapter = try bench.movedAdapter()
      var stored = adapter.tensors
      for spec in bench.trainable { stored[spec.key] = stored[spec.key].tracked() }
      let (watch, weights) = (Watch(), bench.outputGradients())
      let now = Moment(mode: .training, seed: 3)
      let (outputs, _) = bench.outputs(adapter, stored: stored, bench.inputs(), now, observer: watch)
      Tensor.backward(bench.sites.compactMap { site in outputs[site.id].flatMap { y in weights[site.id].map { (y, $0) } } })
      for (pair, (down, up)) in factors.sorted(by: { $0.key.id < $1.key.id }) {
        guard let down, let up else { continue }
        guard let product = watch.product(of: pair) else {
          faults.append("pair \(pair.id) is promised, but nobody who watches it sees it: name it on both factors of the chain")
          continue
        }
        let (a, b) = (adapter.tensors[down.key], adapter.tensors[up.key])
        let expected = [(down, b.transposed.multiplied(by: product)), (up, product.multiplied(byTransposeOf: a))]
        for (spec, gradient) in expected {
          let found = stored[spec.key].gradient ?? .zeros(spec.shape, .float64)
          let error = relativeError(of: gradient.values, from: found.values, floor: 1e-6)
          if error > 1e-9 { faults.append("what is seen of pair \(pair.id) is off the gradient of \(spec.key) by \(error)") }
        }
      }
    }
    return faults
  }
}

/// Adds up what it is shown.
private final class Watch: PairObserver {
  private let products = Mutex<[Pair: Tensor]>([:])

  func saw(_ pair: Pair, u: Tensor, v: Tensor) {
    let product = v.transposed.multiplied(by: u)
    products.withLock { $0[pair] = $0[pair].map { $0 + product } ?? product }
  }

  func product(of pair: Pair) -> Tensor? { products.withLock { $0[pair] } }
}
