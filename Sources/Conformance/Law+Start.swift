import Engine
import PEFTKernel

extension Law {
  func start(_ trial: Trial) throws -> [String] {
    var faults: [String] = []
    for bench in try trial.benches() {
      let inputs = bench.inputs()
      let (outputs, _) = bench.outputs(try bench.adapter(), inputs)
      for site in bench.sites {
        guard let x = inputs[site.id], let base = bench.bases[site.id], let y = outputs[site.id] else { continue }
        let error = relativeError(of: y.values, from: base(x).values, floor: 0)
        switch bench.assembly.initialization.startLaw {
        case .base where error > 1e-6: faults.append("at \(site.id) step 0 is off the base by \(error)")
        case .near where error > trial.method.startBound:
          faults.append("at \(site.id) step 0 is off the base by \(error), more than \(trial.method.startBound)")
        case .near where error == 0: faults.append("at \(site.id) step 0 is the base, though the start is only called near it")
        default: break
        }
      }
    }
    return faults
  }

  func seed(_ trial: Trial) throws -> [String] {
    var faults: [String] = []
    for bench in try trial.benches() {
      let (first, again, other) = (try bench.start(seed: 1), try bench.start(seed: 1), try bench.start(seed: 2))
      for key in first.tensors.differences(from: again.tensors) { faults.append("\(key) differs between two starts of one seed") }
      let moved = Set(first.tensors.differences(from: other.tensors))
      if trial.method.drawsStart {
        let drawn = bench.layout.contains { moved.contains($0.key) }
        if !drawn { faults.append("another seed gives the same start") }
      } else {
        for key in moved { faults.append("\(key) depends on the seed, though the evidence is to determine it") }
      }
      for spec in bench.layout where first.tensors.values[spec.key]?.isFinite != true {
        faults.append("\(spec.key) does not start, or not with finite numbers")
      }
    }
    return faults
  }

  func order(_ trial: Trial) throws -> [String] {
    var faults: [String] = []
    for bench in try trial.benches() where bench.sites.count > 1 {
      let whole = try bench.start().tensors
      let reversed = try Bench(bench.assembly, bench.sites.reversed())
      let turned = try reversed.start().tensors
      for spec in bench.trainable where reversed.layout.contains(where: { $0.key == spec.key && $0.shape == spec.shape }) {
        guard let a = whole.values[spec.key], let b = turned.values[spec.key], !a.isIdentical(to: b) else { continue }
        faults.append("\(spec.key) starts elsewhere when the sites come in another order")
      }
      for site in bench.sites {
        let alone = try Bench(bench.assembly, [site])
        let start = try alone.start().tensors
        for spec in alone.trainable where spec.key.scope == .site(site.id) {
          // How many numbers a site has may follow from all of them.
          guard let a = whole.values[spec.key], let b = start.values[spec.key], a.shape == b.shape, !a.isIdentical(to: b)
          else { continue }
          faults.append("\(spec.key) starts elsewhere when other sites are adapted too")
        }
      }
    }
    return faults
  }
}
