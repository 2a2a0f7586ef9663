import Engine
import Files
import PEFTKernel
import Registry
import Training

extension Law {
  func movement(_ trial: Trial) throws -> [String] {
    let shop = try Workshop(trial)
    let base = shop.model.parameters.map { ($0.name, shop.model.parameter($0.name)) }
    let start = try shop.adapter()
    let (tensors, offset) = (start.tensors.copied, start.offset?.copied)
    let trainer = try shop.trainer(start)
    let trainedBase = trainer.trainedBase.mapValues { $0.copied() }
    for _ in 0..<20 { _ = try trainer.takeStep() }
    let moved = Set(tensors.differences(from: trainer.adapter.tensors))
    var faults: [String] = []
    for spec in start.layout {
      let moves = trial.method.axes.trainable.contains(spec.role.name)
      if moves && !moved.contains(spec.key) { faults.append("\(spec.key) is trained, but did not move") }
      if !moves && moved.contains(spec.key) { faults.append("\(spec.key) is frozen, but moved") }
    }
    if let offset, let after = trainer.adapter.offset, !offset.differences(from: after).isEmpty {
      faults.append("the offset moved")
    }
    for key in tensors.differences(from: start.tensors) { faults.append("training moved the caller's own \(key)") }
    for (name, before) in base where !before.isIdentical(to: shop.model.parameter(name)) {
      faults.append("the base's \(name) moved")
    }
    for (name, before) in trainedBase {
      if let after = trainer.trainedBase[name], after.isIdentical(to: before) {
        faults.append("the base's \(name) is trained, but did not move")
      }
    }
    return faults
  }

  func learning(_ trial: Trial) throws -> [String] {
    let shop = try Workshop(trial)
    let trainer = try shop.trainer(try shop.adapter())
    let before = shop.loss(trainer)
    for _ in 0..<20 { _ = try trainer.takeStep() }
    let after = shop.loss(trainer)
    return after < 0.98 * before ? [] : ["the loss went from \(before) to \(after) in twenty steps"]
  }

  func optimizers(_ trial: Trial) throws -> [String] {
    let shop = try Workshop(trial)
    let adapter = try shop.adapter()
    var faults: [String] = []
    for name in trial.method.registry.axes.optimizers.keys.sorted() {
      let rule = try trial.method.registry.rule(name, options: Self.smallRank(of: name, trial.method.registry))
      let trainer: Trainer
      do { trainer = try shop.trainer(adapter, rule) } catch let refusal as Refusal {
        if !refusal.reason.contains(name) { faults.append("\(name) is refused without its name: \(refusal)") }
        if refusal.remedy.isEmpty { faults.append("\(name) is refused without a remedy: \(refusal)") }
        continue
      }
      for _ in 0..<4 { _ = try trainer.takeStep() }
      let moved = Set(adapter.tensors.differences(from: trainer.adapter.tensors))
      if moved.isEmpty && trainer.trainedBase.isEmpty { faults.append("\(name) moves nothing") }
      for (key, value) in trainer.adapter.tensors.values where !value.isFinite {
        faults.append("\(name) makes \(key) not finite")
      }
      // Once for every method; other cases differ in sizes.
      guard trial.given == trial.method.cases.first else { continue }
      faults += try paused(trainer, adapter, rule, shop).map { "with \(name), \($0)" }
    }
    return faults
  }

  /// What differs where the four steps of `whole` are taken in two halves, with a checkpoint between them.
  private func paused(_ whole: Trainer, _ adapter: Adapter, _ rule: any UpdateRule, _ shop: Workshop) throws -> [String] {
    try ScratchFolder.using { folder in
      let first = try shop.trainer(adapter, rule)
      for _ in 0..<2 { _ = try first.takeStep() }
      let second = try shop.trainer(adapter, rule)
      try second.restore(from: try Checkpoint.write(first, to: folder))
      for _ in 0..<2 { _ = try second.takeStep() }
      return whole.adapter.tensors.differences(from: second.adapter.tensors).map { "\($0) differs after a pause" }
        + whole.trainedBase.filter { second.trainedBase[$0]?.isIdentical(to: $1) != true }.map {
          "the base's \($0.key) differs after a pause"
        }
    }
  }

  /// A rank that fits the small model, for rules that have one.
  static func smallRank(of optimizer: String, _ registry: MethodRegistry) -> [String: OptionValue] {
    let options = registry.axes.optimizers[optimizer]?.options ?? []
    return options.contains { $0.name == "rank" } ? ["rank": .int(2)] : [:]
  }

  func resume(_ trial: Trial) throws -> [String] {
    let shop = try Workshop(trial)
    let start = try shop.adapter()
    let whole = try shop.trainer(start)
    for _ in 0..<6 { _ = try whole.takeStep() }
    return try ScratchFolder.using { folder in
      let first = try shop.trainer(start)
      for _ in 0..<3 { _ = try first.takeStep() }
      try Checkpoint.write(first, to: folder)
      let second = try shop.trainer(start)
      guard let checkpoint = try Checkpoint.newest(in: folder) else { return ["a written checkpoint is not found"] }
      try second.restore(from: checkpoint)
      for _ in 0..<3 { _ = try second.takeStep() }
      var faults = whole.adapter.tensors.differences(from: second.adapter.tensors).map { "\($0) differs after a pause" }
      for (name, value) in whole.trainedBase where second.trainedBase[name]?.isIdentical(to: value) != true {
        faults.append("the base's \(name) differs after a pause")
      }
      return faults
    }
  }
}
