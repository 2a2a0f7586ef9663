import Engine
import PEFTKernel

extension Trainer {
  /// Where a number that is none most likely came from, and what to do, for the message of a run that cannot go on.
  var suspicion: String {
    if let parameter = parameters.first(where: { !$0.value.isFinite }) {
      return "\(parameter.name) is no longer finite; lower the learning rate (\(peakRate))"
    }
    let bad = trainedBase.isEmpty ? model.parameters.first { !model.parameter($0.name).isFinite } : nil
    if let bad { return "\(bad.name) of the base is not finite; use an intact copy of the model" }
    guard let largest = parameters.max(by: { $0.value.largestMagnitude < $1.value.largestMagnitude }) else { return "" }
    return "of what is trained, \(largest.name) has the largest number, \(Float(largest.value.largestMagnitude)); "
      + "lower the learning rate (\(peakRate))"
  }

  /// Refuses to save a state that nothing can go on from.
  func checkFinite() throws(TrainingError) {
    guard let parameter = parameters.first(where: { !$0.value.isFinite }) else { return }
    throw TrainingError(
      step: step, message: "\(parameter.name) is no longer finite; lower the learning rate (\(peakRate)); nothing was saved")
  }
}
