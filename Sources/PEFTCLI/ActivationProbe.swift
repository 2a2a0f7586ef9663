import Engine
import PEFTKernel
import Training

/// What a step of a run takes beside its parameters, found by taking one: of the run's largest micro-batch where that is
/// quick, else of two shorter ones, from which the memory of the whole follows, because it grows in proportion to tokens.
///
/// So the answer holds for any method and any model. Nothing is written, and nothing of the run's is touched.
struct ActivationProbe {
  /// Bytes that tensors of the largest step take beyond parameters, gradients and optimizer state.
  var activations: Int
  /// Bytes of the pool that are kept for reuse and in no tensor when most are in use.
  var slack: Int
  /// Seconds a step takes.
  var secondsPerStep: Double

  /// Tokens of the largest micro-batch of an epoch.
  static func largest(_ session: RunSession) -> (batch: Batch, tokens: Int) {
    var largest = Batch([])
    for step in 0..<min(session.steps, session.batches.stepsPerEpoch) {
      for batch in session.batches.microBatches(at: step) where batch.tokenCount > largest.tokenCount { largest = batch }
    }
    return (largest, largest.tokenCount)
  }
}
