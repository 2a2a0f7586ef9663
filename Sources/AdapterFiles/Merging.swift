import Engine
import Files
import Models
import PEFTKernel

/// Adds adapters to the weights of their base.
public enum Merging {
  /// What became of a site.
  public struct SiteReport: Sendable, Hashable {
    public var path: String
    /// The largest |ΔW|.
    public var largestChange: Double
    /// ‖ΔW‖ / ‖W‖ in the Frobenius norm.
    public var relativeChange: Double
  }

  public struct Report: Sendable, Hashable {
    public var sites: [SiteReport]
    /// Words to the user.
    public var notes: [String]

    public var largestChange: Double { sites.map(\.largestChange).max() ?? 0 }
  }

  /// Writes the model directory whose weights are W + ΔW, computed in double and rounded once to `dtype` (nil: each
  /// tensor's own). All else is the base's.
  ///
  /// One tensor at a time is in memory, and a weight file holds at most `shardLimit` bytes. Refuses methods that depend on the input, biases where the base has none, and
  /// values that are not finite or that the type cannot hold. The base and `inputs` are never replaced. A record of the base's files, and
  /// of the adapter's in `adapterFolder`, comes to lie in the directory: ``Unmerging`` works from it.
  @discardableResult
  public static func merge(
    _ adapter: Adapter, into model: any Model, dtype: StoredType? = nil,
    existing: AtomicDirectory.Existing = .refuse, inputs: [String] = [], from adapterFolder: String? = nil,
    shardLimit: Int = ModelWriter.standardShardLimit, to folder: String
  ) throws -> Report {
    let reports = Reports()
    var copy = try ModelCopy(model, dtype: dtype)
    let plan = try plan(adapter, into: model, reports)
    copy.shardLimit = shardLimit
    copy.changed = plan.changed
    copy.ownHead = plan.ownHead
    if !model.directory.tensorNames.isEmpty { copy.record = try MergeRecord(of: model.directory, adapter: adapterFolder) }
    try copy.write(existing: existing, inputs: inputs + [adapterFolder].compactMap { $0 }, to: folder)
    return Report(sites: adapter.sites.compactMap { reports.bySite[$0.id] }, notes: plan.notes)
  }

  /// The merged parameters in memory, by name and in the file's shapes, for runs that give them as `ModelRun.trained`. The base is not
  /// touched: a run without them is the base's, to the bit. Refuses what ``merge`` refuses, and an adapted head that shares the table.
  public static func parameters(_ adapter: Adapter, into model: any Model) throws -> [String: Tensor] {
    let plan = try plan(adapter, into: model, Reports())
    if let head = plan.ownHead {
      throw Refusal("\(head.name) is the embedding table, which the adapter leaves as it is", remedy: "merge into a directory")
    }
    return try plan.changed.mapValues { try $0().converted(to: .float32) }
  }

  private struct Plan {
    var changed: [String: () throws -> Tensor] = [:]
    var ownHead: ModelCopy.OwnHead?
    var notes: [String] = []
  }

  private static func plan(_ adapter: Adapter, into model: any Model, _ reports: Reports) throws(Refusal) -> Plan {
    guard !adapter.layout.isEmpty || !adapter.trained.isEmpty else { throw Refusal("there is no adapter to merge") }
    var plan = Plan()
    if model.quantization != nil {
      plan.notes.append("the base is quantized; the merged model is not: its weights are numbers again")
    }
    if let note = ModelWriter.note(of: model) { plan.notes.append(note) }
    if !model.drawnModules.isEmpty, let name = model.freshParameters.first(where: { adapter.trained[$0] == nil }) {
      plan.notes.append("\(name) was drawn: neither the base nor the adapter has it, and the head says nothing yet")
    }
    let types = Dictionary(model.parameters.map { ($0.name, $0.type) }) { first, _ in first }
    for (site, change) in try adapter.changes(as: .float64) {
      let weight = site.id.path + ".weight"
      let merged = { try Self.merged(change, at: site, of: model, reports) }
      if types[weight] != nil {
        plan.changed[weight] = merged
      } else if site.use == "head" {
        plan.ownHead = (weight, [site.outputs, site.inputs], model.parameters.first?.type ?? .f32, merged)
        plan.notes.append("\(site.id) shared the embedding table; the merged model has a head of its own")
      } else {
        throw Refusal("\(site.id) has no weight of its own in the files")
      }
      if site.kind == .embedding, let head = model.sharedHead, weight == head.table, plan.ownHead == nil {
        // The head stays what the table was.
        plan.ownHead = (
          head.name, [head.site.outputs, head.site.inputs], types[weight] ?? .f32, { model.parameter(head.table) }
        )
        plan.notes.append("\(head.site.id) shared the embedding table; the merged model has a head of its own")
      }
      guard let bias = change.bias else { continue }
      let name = site.id.path + ".bias"
      guard site.hasBias, types[name] != nil else {
        throw Refusal(
          "the adapter adds a bias at \(site.id), where the base has none",
          remedy: "keep the adapter beside its base, or export it")
      }
      let own = adapter.trained[name]
      plan.changed[name] = { (own ?? model.parameter(name)).converted(to: .float64) + bias }
    }
    for (name, tensor) in adapter.trained where plan.changed[name] == nil {
      if types[name] != nil {
        plan.changed[name] = { tensor }
      } else if plan.ownHead == nil {
        plan.ownHead = (name, tensor.shape, model.parameters.first?.type ?? .f32, { tensor })
        plan.notes.append("the head shared the embedding table; the merged model has a head of its own")
      }
    }
    return plan
  }

  private final class Reports {
    var bySite: [SiteID: SiteReport] = [:]
  }

  /// W + ΔW in double, as files hold it.
  private static func merged(
    _ change: WeightChange, at site: Site, of model: any Model, _ reports: Reports
  ) throws(Refusal) -> Tensor {
    let base = model.base(site.id)
    let weight = base.weight(as: .float64)
    let delta = change.dense(on: weight)
    guard delta.isFinite else {
      throw Refusal("the change at \(site.id) is not finite", remedy: "use an adapter from before the run diverged")
    }
    let size = weight.sumOfSquares
    reports.bySite[site.id] = SiteReport(
      path: site.id.path, largestChange: delta.largestMagnitude,
      relativeChange: size > 0 ? (delta.sumOfSquares / size).squareRoot() : 0)
    let sum = weight + delta
    return base.isTransposed ? sum.transposed : sum
  }
}
