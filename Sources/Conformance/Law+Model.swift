import AdapterFiles
import Engine
import Files
import Models
import PEFTKernel
import Synchronization
import Training

extension Law {
  func modelGradient(_ trial: Trial) throws -> [String] {
    let shop = try Workshop(trial)
    let adapter = try shop.movedAdapter()
    let batch = Batch(shop.examples)
    let pins = Pins()
    // The moment of a trainer's first step, so that its draws are the same.
    let now = Moment(mode: .training, seed: 9, pins: pins)
    let double = try Adapter(
      trial.assembly, sites: shop.sites, layout: adapter.layout, tensors: adapter.tensors.converted(to: .float64),
      offset: adapter.offset?.converted(to: .float64), on: adapter.bases)

    func objective(_ stored: Tensors) -> (terms: [Tensor], value: Double) {
      let pass = Pass(now: now, rows: batch.rows, sites: shop.sites)
      let attachment = Attachment(double, stored: stored, now)
      let run = ModelRun(pass: pass, attachment: attachment, scalar: .float64)
      let loss = shop.model.loss(batch.ids, labels: batch.labels, scale: 1 / Double(batch.labelCount), run)
      let once = attachment.projection.penalty(attachment.prepared, now)
      let terms = [loss] + pass.penalties + [once].compactMap { $0 }
      return (terms, terms.reduce(0) { $0 + $1.item })
    }
    var stored = double.tensors
    for spec in adapter.trainable { stored[spec.key] = stored[spec.key].tracked() }
    Tensor.backward(objective(stored).terms.filter(\.hasHistory).map { ($0, Tensor([1], .float64)) })

    let recorder = GradientRecorder()
    let report = try shop.trainer(adapter, recorder, batchSize: shop.examples.count).takeStep()
    var faults: [String] = []
    guard report.loss.isFinite else { return ["the loss is \(report.loss)"] }
    for spec in adapter.trainable {
      let analytic = stored[spec.key].gradient ?? .zeros(spec.shape, .float64)
      let error = Differences.error(of: analytic, at: double.tensors[spec.key], coordinates: 2) { moved in
        pins.replay()
        var tensors = double.tensors
        tensors[spec.key] = moved
        return objective(tensors).value
      }
      if error > 1e-5 { faults.append("through the model, the gradient of \(spec.key) is off its differences by \(error)") }
      let stepped = recorder.gradients[spec.key.description] ?? []
      let distance = relativeError(of: stepped, from: analytic.values, floor: 1e-4)
      if distance > 1e-3 { faults.append("a step's gradient of \(spec.key) is off the exact one by \(distance)") }
    }
    return faults
  }

  func isolation(_ trial: Trial) throws -> [String] {
    let shop = try Workshop(trial)
    let (one, two) = (try shop.movedAdapter(seed: 7), try shop.movedAdapter(seed: 8))
    let base = shop.logits(nil)
    let (first, second) = (shop.logits(one), shop.logits(two))
    var faults: [String] = []
    if trial.entry.hasAdapter && first.isIdentical(to: second) { faults.append("two adapters compute the same") }
    if !shop.logits(one).isIdentical(to: first) { faults.append("an adapter computes something else after another was in use") }
    if !shop.logits(nil).isIdentical(to: base) { faults.append("the base computes something else after adapters were in use") }
    guard trial.entry.hasAdapter else { return faults }
    var bank = AdapterBank(on: shop.model)
    try bank.add(one, as: "one")
    try bank.add(two, as: "two")
    for (name, expected) in [("one", first), ("two", second), ("base", base), ("two", second), ("one", first)] {
      try bank.use(name)
      if !shop.logits(bank.active).isIdentical(to: expected) {
        faults.append("switched by name, \(name) computes something else")
      }
    }
    return faults
  }

  func reset(_ trial: Trial) throws -> [String] {
    let shop = try Workshop(trial)
    let start = try shop.adapter()
    let (kept, before) = (start.tensors.copied, shop.logits(start))
    let trainer = try shop.trainer(start)
    for _ in 0..<3 { _ = try trainer.takeStep() }
    let again = try shop.adapter()
    var faults = again.tensors.differences(from: kept).map { "\($0) starts elsewhere after training" }
    if !shop.logits(again).isIdentical(to: before) { faults.append("after a reset, the function is not that of step 0") }
    return faults
  }

  func files(_ trial: Trial) throws -> [String] {
    guard trial.entry.hasAdapter else { return [] }
    let shop = try Workshop(trial)
    let adapter = try shop.movedAdapter()
    return try ScratchFolder.using { parent in
      let folder = Folder.join(parent, "adapter")
      try AdapterWriter.write(
        adapter, entry: trial.entry, registry: trial.method.registry, model: shop.model, to: folder)
      let loaded = try AdapterReader.read(folder, for: shop.model, registry: trial.method.registry)
      var faults = loaded.adapter.tensors.differences(from: adapter.tensors).map { "\($0) is not what was saved" }
      if loaded.entry != trial.entry { faults.append("the loaded entry is not the saved one") }
      if !shop.logits(loaded.adapter).isIdentical(to: shop.logits(adapter)) {
        faults.append("the loaded adapter computes something else")
      }
      return faults
    }
  }
}

/// An optimizer that moves nothing and keeps the gradients it was shown.
struct GradientRecorder: UpdateRule {
  var wantsEnergies = false
  private let state = State()

  init(wantsEnergies: Bool = false) { self.wantsEnergies = wantsEnergies }

  /// Row-major, by the parameter's name.
  var gradients: [String: [Double]] { state.gradients.withLock { $0 } }
  /// Row and column energies, by the pair's name.
  var energies: [String: [Double]] { state.energies.withLock { $0 } }

  func begin(_ parameters: [Parameter]) throws(Refusal) -> any UpdateState { state }

  private final class State: UpdateState, Sendable {
    let gradients = Mutex<[String: [Double]]>([:])
    let energies = Mutex<[String: [Double]]>([:])

    func step(_ parameters: [Parameter], _ gradients: [Tensor], _ evidence: StepEvidence) {
      self.gradients.withLock { kept in
        for (parameter, gradient) in zip(parameters, gradients) { kept[parameter.name] = gradient.values }
      }
      energies.withLock { kept in
        for (pair, energies) in evidence.energies { kept[pair.id] = energies.rows + energies.columns }
      }
    }

    var tensors: [String: Tensor] { [:] }
    var counters: [String: Int] { [:] }
    func restore(_ tensors: [String: Tensor], _ bytes: [String: [UInt8]], _ counters: [String: Int]) throws(Refusal) {}
  }
}
