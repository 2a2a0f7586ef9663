import Engine
import PEFTKernel

extension Law {
  func gradient(_ trial: Trial) throws -> [String] {
    var faults: [String] = []
    for bench in try trial.benches() {
      let adapter = try bench.movedAdapter()
      let (inputs, weights) = (bench.inputs(), bench.outputGradients())
      let pins = Pins()
      let now = Moment(mode: .training, seed: 3, pins: pins)
      var stored = adapter.tensors
      for spec in bench.trainable { stored[spec.key] = stored[spec.key].tracked() }
      let tracked = inputs.mapValues { $0.tracked() }
      let (outputs, penalties) = bench.outputs(adapter, stored: stored, tracked, now)
      Tensor.backward(
        bench.sites.compactMap { site in outputs[site.id].flatMap { y in weights[site.id].map { (y, $0) } } }
          + penalties.map { ($0, Tensor([1], .float64)) })

      func objective(_ tensors: Tensors, _ inputs: [SiteID: Tensor]) -> Double {
        pins.replay()
        let (outputs, penalties) = bench.outputs(adapter, stored: tensors, inputs, now)
        return outputs.reduce(penalties.reduce(0) { $0 + $1.item }) { sum, output in
          sum + (weights[output.key].map { (output.value * $0).sum.item } ?? 0)
        }
      }
      for spec in bench.trainable {
        let analytic = stored[spec.key].gradient ?? .zeros(spec.shape, .float64)
        let error = Differences.error(of: analytic, at: adapter.tensors[spec.key]) { moved in
          var tensors = adapter.tensors
          tensors[spec.key] = moved
          return objective(tensors, inputs)
        }
        if error > 1e-6 { faults.append("the gradient of \(spec.key) is off its differences by \(error)") }
      }
      for site in bench.sites {
        guard let x = inputs[site.id], let leaf = tracked[site.id] else { continue }
        let error = Differences.error(of: leaf.gradient ?? .zeros(x.shape, .float64), at: x) { moved in
          objective(adapter.tensors, inputs.merging([site.id: moved]) { $1 })
        }
        if error > 1e-6 { faults.append("the gradient of the input at \(site.id) is off its differences by \(error)") }
      }
    }
    return faults
  }
}

/// Central differences.
enum Differences {
  /// How far `analytic` is from the differences of `objective` around `point`: along one direction in which every entry
  /// moves, and along a few single entries. Relative to the size of the gradient.
  static func error(
    of analytic: Tensor, at point: Tensor, coordinates: Int = 6, step: Double = 1e-5, _ objective: (Tensor) -> Double
  ) -> Double {
    var random = Philox(key: 21)
    let gradient = analytic.values
    var directions = [(0..<point.count).map { _ in random.normal() }]
    for _ in 0..<min(coordinates, point.count) {
      var single = [Double](repeating: 0, count: point.count)
      single[random.integer(below: point.count)] = 1
      directions.append(single)
    }
    let values = point.values
    var worst = 0.0
    for direction in directions {
      func value(_ t: Double) -> Double {
        objective(Tensor(zip(values, direction).map { $0 + t * $1 }, shape: point.shape, point.scalar))
      }
      let difference = (value(step) - value(-step)) / (2 * step)
      let expected = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
      let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let size = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot() / Double(max(1, gradient.count)).squareRoot() * length
      let error = abs(difference - expected) / max(size, abs(difference), 1e-3)
      worst = error.isFinite ? max(worst, error) : .infinity
    }
    return worst
  }
}
