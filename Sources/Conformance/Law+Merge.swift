import Engine
import PEFTKernel

extension Law {
  func merge(_ trial: Trial) throws -> [String] {
    var faults: [String] = []
    for bench in try trial.benches() {
      let adapter = try bench.movedAdapter()
      let inputs = bench.inputs()
      let (outputs, _) = bench.outputs(adapter, inputs)
      for site in bench.sites {
        guard let x = inputs[site.id], let base = bench.bases[site.id], let y = outputs[site.id] else { continue }
        let change: WeightChange
        do throws(Refusal) { change = try adapter.change(at: site) } catch {
          switch trial.method.merge {
          case .exact: faults.append("merging is refused at \(site.id): \(error)")
          case .refused(let reason) where !error.description.contains(reason):
            faults.append("merging is refused, but not because \(reason): \(error)")
          case .refused: break
          }
          continue
        }
        if case .refused(let reason) = trial.method.merge {
          faults.append("merging is not refused at \(site.id), though \(reason)")
          continue
        }
        let weight = base.weight(as: .float64)
        let bias = [base.bias, change.bias].compactMap { $0 }.reduce(nil) { (sum: Tensor?, b) in sum.map { $0 + b } ?? b }
        let merged = TensorMap(matrix: weight + change.dense(on: weight), bias: bias)
        let error = relativeError(of: merged(x).values, from: y.values, floor: 0)
        if error > 1e-10 { faults.append("at \(site.id) the merged map is off the adapted one by \(error)") }
      }
    }
    return faults
  }

  /// 1024 × 1024 with a few rows: an update of the weight's size would be most of the memory.
  func memory(_ trial: Trial) throws -> [String] {
    guard !trial.method.formsDenseUpdates else { return [] }
    let size = 1024
    let site = Site(id: SiteID("layers.0.large"), use: "attention.query", outputs: size, inputs: size, layer: 0)
    let layout = try Adapter.layout(trial.assembly, over: [site])
    // A start may look at the whole weight; what is measured is a step, so any values do.
    let tensors = layout.filled(Moment(seed: 1))
    let startsOff = try trial.benches().first?.start().offset != nil
    let base = FrozenMap(matrix: FrozenMatrix(Tensor(repeating: 0.01, shape: [size, size])))
    let adapter = try Adapter(
      trial.assembly, sites: [site], layout: layout, tensors: tensors, offset: startsOff ? tensors : nil,
      on: Bases { _ in base })
    let x = Tensor(repeating: 0.5, shape: [4, size])
    let (_, peak) = MemoryMeter.measure {
      var stored = adapter.tensors
      for spec in adapter.trainable { stored[spec.key] = stored[spec.key].tracked() }
      let now = Moment(mode: .training, seed: 1)
      let attachment = Attachment(adapter, stored: stored, now)
      let pass = Pass(now: now, rows: RowLayout(lengths: [4]), sites: [site])
      let y = attachment.output(at: site.id, x.tracked(), base, pass) ?? x
      Tensor.backward([(y, x)])
    }
    // The gradients of what is trained are no temporaries.
    let (weight, gradients) = (size * size * 4, adapter.trainable.reduce(0) { $0 + $1.count * 4 })
    return peak < weight + gradients ? [] : ["a step takes \(peak - gradients) bytes for a weight of \(weight)"]
  }
}
