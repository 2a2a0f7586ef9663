import Engine
import PEFTKernel

extension Law {
  /// A projection that can be started from a matrix says truly how near it comes.
  func approximation(_ trial: Trial) throws -> [String] {
    guard let projection = trial.assembly.projection as? any Approximating else { return [] }
    var faults: [String] = []
    for bench in try trial.benches() {
      for site in bench.sites {
        guard let base = bench.bases[site.id] else { continue }
        let own = bench.layout.filter { $0.key.scope == .site(site.id) }
        let derived = try projection.derive(own, at: site, on: base)
        var random = Philox(key: 16).stream(site.id.path)
        let matrix = random.normal([site.outputs, site.inputs], deviation: 0.1).converted(to: .float64)
        let x = random.normal([2 * site.inputs, site.inputs], deviation: 1, .float64)
        for metric in [Metric.frobenius, .gram(x.transposed.multiplied(by: x))] {
          let place = "at \(site.id) in the metric \(metric.name)"
          let near: Approximation
          do throws(Refusal) {
            near = try projection.approximate(Target(matrix, metric: metric), at: site, own, derived, random)
          } catch {
            if error.reason.isEmpty { faults.append("\(place): refused without a reason") }
            continue
          }
          faults += try fit(near, of: matrix, metric, projection, bench, site, derived).map { "\(place): \($0)" }
        }
      }
    }
    return faults
  }

  private func fit(
    _ near: Approximation, of matrix: Tensor, _ metric: Metric, _ projection: any Projection, _ bench: Bench, _ site: Site,
    _ derived: Tensors
  ) throws -> [String] {
    var tensors = Tensors(derived.values.merging(near.tensors.values) { $1 }).converted(to: .float64)
    // What sites share is as the layout fills it.
    for spec in bench.layout where spec.key.scope == .model { tensors[spec.key] = [spec].filled(Moment(), .float64)[spec.key] }
    guard let base = bench.bases[site.id] else { return [] }
    // What follows from a start follows here too.
    tensors.values.merge(try projection.complete(tensors, at: site, on: base).tensors.converted(to: .float64).values) { $1 }
    let missing = bench.layout.filter { $0.key.scope == .site(site.id) && tensors.values[$0.key] == nil }
    guard missing.isEmpty else { return ["\(missing[0].key) is not among the tensors"] }
    let weight = base.weight(as: .float64)
    func error(_ tensors: Tensors) throws(Refusal) -> Double {
      let prepared = projection.prepare(tensors, Moment(), bench.maps)
      return metric.length(of: matrix - (try projection.change(at: site, prepared, on: base).dense(on: weight)))
    }
    let (found, whole) = (try error(tensors), metric.length(of: matrix))
    var faults: [String] = []
    // Tensors are kept in single precision.
    if abs(found - near.error) > 1e-5 * whole { faults.append("the error is \(found), not the \(near.error) that is claimed") }
    if found > whole * (1 + 1e-9) { faults.append("the error \(found) is more than doing nothing leaves, \(whole)") }
    guard near.isBest else { return faults }
    // Of the best, no small move of any tensor makes a better one: in the first order nothing changes.
    for spec in bench.trainable where spec.key.scope == .site(site.id) {
      var random = Philox(key: 17).stream(spec.key.description)
      let step = random.normal(spec.shape, deviation: 1e-4, .float64)
      for sign in [1.0, -1.0] {
        var moved = tensors
        moved[spec.key] = tensors[spec.key] + step * sign
        let other = try error(moved)
        if other < found - 1e-6 * whole {
          faults.append("called the best, but a move of \(spec.key) leaves \(other) of \(found)")
        }
      }
    }
    return faults
  }
}
