import Blocks
import Engine
import JSON
import Models
import PEFTKernel
import Training

/// What training steps of a method take on some model.
struct StepCost: Sendable {
  /// Of every step but the first.
  var seconds: [Double]
  /// The most that tensors held at once beyond the base: adapter, optimizer, gradients, activations, scratch.
  var peak: Int
  var trained: Int

  init(of method: Assembly, on model: any LanguageModel, _ examples: [Example], steps: Int) throws {
    let sites = method.trainable.roles.isEmpty ? [] : ModelQuantizer.sites(of: model)
    let before = MemoryUsage.current.inUse
    let adapter = try EvidenceStage(method, sites: sites, for: NextTokens(model), examples: examples, seed: 1).start()
    let trainer = try Trainer(
      NextTokens(model), adapter: adapter, batches: BatchPlan(examples, batchSize: examples.count), optimizer: AdamW(), peakRate: 1e-4,
      schedule: Schedule(total: steps + 1), clipNorm: 1, seed: 1)
    MemoryUsage.resetPeak()
    seconds = []
    for step in 0...steps {
      let began = ContinuousClock.now
      _ = try trainer.takeStep()
      if step > 0 { seconds.append((ContinuousClock.now - began) / .seconds(1)) }
    }
    peak = MemoryUsage.current.peak - before
    trained = trainer.trainableCount
  }

  var json: JSON { ["seconds": .array(seconds.map { .double($0) }), "peak": .int(peak), "trained": .int(trained)] }

  /// Rows of random tokens.
  static func examples(_ rows: Int, of length: Int, vocabulary: Int) -> [Example] {
    var random = Philox(key: 1)
    return (0..<rows).map { _ in Example(ids: (0..<length).map { _ in Int32(random.integer(below: vocabulary)) }) }
  }
}
