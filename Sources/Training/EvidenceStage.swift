import Engine
import Models
import PEFTKernel
import Synchronization

/// Gathers what an init strategy wants to see, starts the adapter with it, and lets it go.
public enum EvidenceStage {
  /// The adapter at step 0. `examples` are the training examples, needed only where gradients are wanted.
  ///
  /// Gradients of all adapted weights are held while they add up over the batches; each is freed once its site started.
  /// `note` is given what the user should know about the start.
  public static func start(
    _ parameterization: any Parameterization, sites: [Site], on model: any LanguageModel, examples: [Example], seed: UInt64,
    note: (String) -> Void = { _ in }
  ) throws -> Adapter {
    try start(
      parameterization, sites: sites, on: model, evidence: batches(parameterization, of: examples, seed: seed), seed: seed,
      note: note)
  }

  /// The batches that a start looks at; none where it wants no gradients.
  static func batches(_ parameterization: any Parameterization, of examples: [Example], seed: UInt64) -> BatchPlan? {
    guard case .gradients(_, let batchSize) = parameterization.initialization.wants else { return nil }
    return BatchPlan(examples, batchSize: batchSize, seed: Philox(key: seed).stream("evidence").key)
  }

  /// As above, with the batches to look at; `limit` cuts their number, for those who want the memory of a start only.
  static func start(
    _ parameterization: any Parameterization, sites: [Site], on model: any LanguageModel, evidence: BatchPlan?, seed: UInt64,
    limit: Int = .max, note: (String) -> Void = { _ in }
  ) throws -> Adapter {
    let layout = try Adapter.layout(parameterization, over: sites)
    let now = Moment(mode: .training, seed: seed)
    let weight: @Sendable (SiteID) -> Tensor = { model.base($0).weight(as: .float32) }
    var gradients: [SiteID: Tensor] = [:]
    if case .gradients(let batches, _) = parameterization.initialization.wants, let evidence {
      gradients = try meanGradients(of: sites, model, evidence, batches: min(batches, limit), seed: seed)
    }
    let start = try parameterization.start(layout, sites, weight: weight, gradients: &gradients, now)
    for text in start.notes { note(text) }
    return try Adapter(parameterization, sites: sites, layout: layout, tensors: start.tensors, offset: start.offset)
  }

  /// Mean over batches of ∂(mean loss of the batch)/∂W at every site, on the untouched base.
  private static func meanGradients(
    of sites: [Site], _ model: any LanguageModel, _ plan: BatchPlan, batches: Int, seed: UInt64
  ) throws(Refusal) -> [SiteID: Tensor] {
    guard !plan.examples.isEmpty else {
      throw Refusal("this start needs gradients of the training loss, but there is no training data")
    }
    let sums = Dictionary(uniqueKeysWithValues: sites.map { ($0.id, Tensor.zeros([$0.outputs, $0.inputs])) })
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
