import Engine
import PEFTKernel

/// The parts of a head that tells classes apart, by name and shape.
struct HeadPlan: Sendable {
  /// What it reads.
  enum Source: Sendable {
    /// The pooler's output.
    case pooled
    /// The first row of every sequence.
    case firstRow
  }

  let source: Source
  /// A map and tanh before the last map.
  let dense: PlannedMap?
  let output: PlannedMap
  let dropout: Double
  let labels: ClassLabels
  private(set) var tensors: [PlannedTensor] = []

  var maps: [PlannedMap] { (dense.map { [$0] } ?? []) + [output] }

  /// `dense` and `output` are paths. Drawn heads are new ones.
  init(
    _ source: Source, dense: String?, output: String, hidden: Int, dropout: Double, labels: ClassLabels, deviation: Double,
    isDrawn: Bool
  ) {
    func map(_ path: String, _ outputs: Int) -> PlannedMap {
      PlannedMap(
        site: Site(id: SiteID(path), use: "head", outputs: outputs, inputs: hidden, hasBias: true), weight: path + ".weight",
        bias: path + ".bias")
    }
    self.source = source
    self.dropout = dropout
    self.labels = labels
    self.dense = dense.map { map($0, hidden) }
    self.output = map(output, labels.names.count)
    for map in maps {
      tensors += [
        PlannedTensor(
          name: map.weight, shape: [map.site.outputs, hidden], kind: .matrix, deviation: deviation, isDrawn: isDrawn),
        PlannedTensor(name: map.site.id.path + ".bias", shape: [map.site.outputs], kind: .biases, isDrawn: isDrawn),
      ]
    }
  }
}

/// A head that tells classes apart, bound to its weights.
struct ClassificationHead: Sendable {
  let plan: HeadPlan
  let dense: SiteMap?
  let output: SiteMap

  init(_ plan: HeadPlan, _ weights: BaseWeights) {
    self.plan = plan
    dense = plan.dense.map { SiteMap($0, weights) }
    output = SiteMap(plan.output, weights)
  }

  /// [sequences, labels].
  func logits(_ encoding: Encoding, _ run: ModelRun) -> Tensor {
    let rows: Tensor
    switch (plan.source, encoding.pooled) {
    case (.pooled, let pooled?): rows = pooled
    case (.pooled, nil): preconditionFailure("this head reads the pooler's output")
    case (.firstRow, _): rows = encoding.hidden.firstRows(of: run.pass.rows.sequences)
    }
    return run.pooled { run in
      var x = dropped(rows, 0, run)
      if let dense { x = dropped(dense(x, run).tanh, 1, run) }
      return output(x, run)
    }
  }

  private func dropped(_ x: Tensor, _ place: Int, _ run: ModelRun) -> Tensor {
    guard plan.dropout > 0, run.pass.now.mode == .training else { return x }
    return x.dropout(plan.dropout, run.pass.now.random("classifier").stream(UInt64(place)))
  }
}
