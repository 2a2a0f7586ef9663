import Engine
import Models
import PEFTKernel

extension Trainer {
  /// Where a number that is none most likely came from, and what to do, for the message of a run that cannot go on. `batch` is what
  /// the model was given.
  func suspicion(_ batch: Batch? = nil) -> String {
    let bad = trainedBase.isEmpty ? model.parameters.first { !model.parameter($0.name).isFinite } : nil
    if let bad { return "\(bad.name) of the base is not finite; use an intact copy of the model" }
    if let excess { return excess }
    guard step > 0 else { return startSuspicion(batch) }
    if let parameter = parameters.first(where: { !$0.value.isFinite }) {
      return "\(parameter.name) is no longer finite; lower the learning rate (\(peakRate))"
    }
    guard let largest = parameters.max(by: { $0.value.largestMagnitude < $1.value.largestMagnitude }) else { return "" }
    return "of what is trained, \(largest.name) has the largest number, \(Float(largest.value.largestMagnitude)); "
      + "lower the learning rate (\(peakRate))"
  }

  /// A scale that no activation survives, whatever the tensors hold.
  private var excess: String? {
    let projection = adapter.parameterization.projection
    guard let site = adapter.sites.first(where: { !Float(projection.scale(at: $0)).isFinite }) else { return nil }
    return "the change at \(site.id) is scaled by \(projection.scale(at: site)), more than single precision holds; "
      + "lower what the scale follows from, such as alpha"
  }

  /// Before the first update it cannot be the learning rate.
  private func startSuspicion(_ batch: Batch?) -> String {
    if let parameter = parameters.first(where: { !$0.value.isFinite }) {
      return "\(parameter.name) starts with numbers that are not finite; choose another init"
    }
    let now = Moment(mode: .training, seed: seed, step: step)
    let made = adapter.parameterization.projection.prepare(adapter.tensors, now, adapter.frozenBases(now)).values
    if let key = made.filter({ !$0.value.isFinite }).keys.min(by: { $0.description < $1.description }) {
      return "\(key), as the method makes it, is not finite at the start; use smaller options"
    }
    let known = "nothing has been updated yet, so it is not the learning rate"
    guard !adapter.sites.isEmpty, let batch else { return known }
    let pass = Pass(now: now, rows: batch.rows, sites: adapter.sites)
    let base = objective.loss(
      batch, scale: 1 / Double(batch.labelCount), ModelRun(pass: pass, attachment: nil, trained: [:]))
    return base.isFinite
      ? "\(known); the base alone has the loss \(Float(base.item)) on this batch, so look at the adapter's options"
      : "the base alone has no finite loss on this batch either; use an intact copy of the model, or other data"
  }

  /// Refuses to save a state that nothing can go on from.
  func checkFinite() throws(TrainingError) {
    guard let parameter = parameters.first(where: { !$0.value.isFinite }) else { return }
    throw TrainingError(
      step: step, message: "\(parameter.name) is no longer finite; lower the learning rate (\(peakRate)); nothing was saved")
  }
}

/// A number for a message; one that is none has no sign.
func shown(_ value: Double) -> String { value.isNaN ? "nan" : "\(value)" }
