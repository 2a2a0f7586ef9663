import Engine
import Models
import PEFTKernel
import Synchronization

/// Gathers what an init strategy wants to see, starts the adapter with it, and lets it go.
public enum EvidenceStage {
  /// The adapter at step 0. `examples` are the training examples, needed only where gradients are wanted.
  ///
  /// Gradients of all adapted weights are held while they add up over the batches; each is freed once its site started.
  /// `seen` is told of every batch that was looked at, with the count of all. Cancelling the task ends it between two batches, with a
  /// `CancellationError`.
  public static func start(
    _ parameterization: any Parameterization, sites: [Site], on model: any LanguageModel, examples: [Example], seed: UInt64,
    seen: (_ batch: Int, _ batches: Int) -> Void = { _, _ in }
  ) throws -> Adapter {
    let evidence = batches(parameterization, of: examples, seed: seed)
    return try start(parameterization, sites: sites, on: model, evidence: evidence, seed: seed, seen: seen)
  }

  /// The batches that a start looks at; none where it wants no gradients.
  static func batches(_ parameterization: any Parameterization, of examples: [Example], seed: UInt64) -> BatchPlan? {
    guard case .gradients(_, let batchSize) = parameterization.initialization.wants else { return nil }
    return BatchPlan(examples, batchSize: batchSize, seed: Philox(key: seed).stream("evidence").key)
  }

  /// As above, with the batches to look at; `limit` cuts their number, for those who want the memory of a start only.
  static func start(
    _ parameterization: any Parameterization, sites: [Site], on model: any LanguageModel, evidence: BatchPlan?, seed: UInt64,
    limit: Int = .max, seen: (_ batch: Int, _ batches: Int) -> Void = { _, _ in }
  ) throws -> Adapter {
    let layout = try Adapter.layout(parameterization, over: sites)
    let now = Moment(mode: .training, seed: seed)
    let weight: @Sendable (SiteID) -> Tensor = { model.base($0).weight(as: .float32) }
    var gradients: [SiteID: Tensor] = [:]
    if case .gradients(let batches, _) = parameterization.initialization.wants, let evidence {
      gradients = try meanGradients(of: sites, model, evidence, batches: min(batches, limit), seed: seed, seen: seen)
    }
    let start = try parameterization.start(layout, sites, weight: weight, gradients: &gradients, now)
    var adapter = try Adapter(parameterization, sites: sites, layout: layout, tensors: start.tensors, offset: start.offset)
    adapter.notes = start.notes
    return adapter
  }

  /// Mean over batches of ∂(mean loss of the batch)/∂W at every site, on the untouched base.
  private static func meanGradients(
    of sites: [Site], _ model: any LanguageModel, _ plan: BatchPlan, batches: Int, seed: UInt64,
    seen: (_ batch: Int, _ batches: Int) -> Void
  ) throws -> [SiteID: Tensor] {
    guard !plan.examples.isEmpty else {
      throw Refusal("this start needs gradients of the training loss, but there is no training data")
    }
    let sums = Dictionary(uniqueKeysWithValues: sites.map { ($0.id, Tensor.zeros([$0.outputs, $0.inputs])) })
    for index in 0..<batches {
      try Task.checkCancellation()
      for batch in plan.microBatches(at: index) where batch.labelCount > 0 {
        // Dropout is as in training; step −1 keeps these draws apart from those of the steps to come.
        let pass = Pass(
          now: Moment(mode: .training, seed: seed, step: -1, microBatch: index), rows: batch.rows, sites: sites)
        let run = ModelRun(pass: pass) { id, x, dy in
          sums[id]?.accumulateProduct(transposed: dy, x, scale: 1 / Double(batches))
        }
        model.loss(batch.ids, labels: batch.labels, scale: 1 / Double(batch.labelCount), run).backward()
      }
      seen(index + 1, batches)
    }
    return sums
  }
}
