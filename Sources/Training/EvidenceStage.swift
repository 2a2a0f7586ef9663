import Engine
import Models
import PEFTKernel
import Synchronization

/// Gathers what an init strategy wants to see, starts the adapter with it, and lets it go.
public enum EvidenceStage {
  /// The adapter at step 0. `examples` are the training examples, needed only where gradients are wanted.
  ///
  /// Gradients of all adapted weights are held while they add up over the batches; each is freed once its site started.
  public static func start(
    _ parameterization: any Parameterization, sites: [Site], on model: any LanguageModel, examples: [Example], seed: UInt64
  ) throws -> Adapter {
    let layout = try Adapter.layout(parameterization, over: sites)
    let now = Moment(mode: .training, seed: seed)
    let weight: @Sendable (SiteID) -> Tensor = { model.base($0).weight(as: .float32) }
    var gradients: [SiteID: Tensor] = [:]
    if case .gradients(let batches, let batchSize) = parameterization.initialization.wants {
      gradients = try meanGradients(of: sites, model, examples: examples, batches: batches, batchSize: batchSize, seed: seed)
    }
    let start = try parameterization.start(layout, sites, weight: weight, gradients: &gradients, now)
    var adapter = try Adapter(parameterization, sites: sites, layout: layout, tensors: start.tensors, offset: start.offset)
    adapter.notes = start.notes
    return adapter
  }

  /// Mean over batches of ∂(mean loss of the batch)/∂W at every site, on the untouched base.
  private static func meanGradients(
    of sites: [Site], _ model: any LanguageModel, examples: [Example], batches: Int, batchSize: Int, seed: UInt64
  ) throws(Refusal) -> [SiteID: Tensor] {
    guard !examples.isEmpty else {
      throw Refusal("this start needs gradients of the training loss, but there is no training data")
    }
    let sums = Dictionary(uniqueKeysWithValues: sites.map { ($0.id, Tensor.zeros([$0.outputs, $0.inputs])) })
    let plan = BatchPlan(examples, batchSize: batchSize, seed: Philox(key: seed).stream("evidence").key)
    for index in 0..<batches {
      for batch in plan.microBatches(at: index) where batch.labelCount > 0 {
        // Dropout is as in training; step −1 keeps these draws apart from those of the steps to come.
        let pass = Pass(
          now: Moment(mode: .training, seed: seed, step: -1, microBatch: index), rows: batch.rows, sites: sites)
        let run = ModelRun(pass: pass) { id, x, dy in
          sums[id]?.accumulateProduct(transposed: dy, x, scale: 1 / Double(batches))
        }
        model.loss(batch.ids, labels: batch.labels, scale: 1 / Double(batch.labelCount), run).backward()
      }
    }
    return sums
  }
}
