import Engine
import PEFTKernel

/// A transformer encoder of whichever family its configuration describes, bound to its weights.
struct Encoder: Sendable {
  struct Norm: Sendable {
    let part: EncoderPlan.Norm
    let gains: Tensor
    let bias: Tensor
    let epsilon: Double

    func callAsFunction(_ x: Tensor, _ run: ModelRun) -> Tensor {
      x.layerNorm(
        run.trained[part.weight] ?? gains.converted(to: run.scalar), run.trained[part.bias] ?? bias.converted(to: run.scalar),
        eps: epsilon)
    }
  }

  struct Table: Sendable {
    let name: String
    let matrix: FrozenMatrix
    /// Where an adapter can stand at it.
    let site: SiteID?

    /// Its rows of these numbers, with what an adapter adds to them.
    func rows(_ indices: [Int32], _ run: ModelRun) -> Tensor {
      let trained = run.trained[name]?.reshaped([matrix.rows, matrix.columns])
      let rows = trained?.gatherRows(indices) ?? matrix.gatherRows(indices, as: run.scalar)
      guard let attachment = run.attachment, let site else { return rows }
      return attachment.rows(at: site, indices, rows)
    }
  }

  /// Patches, as rows of pixels, to hidden states.
  struct PatchMap: Sendable {
    let weight: (name: String, matrix: FrozenMatrix)
    let bias: (name: String, vector: Tensor)?

    func callAsFunction(_ patches: Tensor, _ run: ModelRun) -> Tensor {
      let trained = run.trained[weight.name]?.reshaped([weight.matrix.rows, weight.matrix.columns])
      let y = trained.map { patches.linear($0) } ?? patches.linear(weight.matrix)
      guard let bias else { return y }
      return y.addingRow(run.trained[bias.name] ?? bias.vector.converted(to: run.scalar))
    }
  }

  struct Layer: Sendable {
    let attentionNorm: Norm
    let query: SiteMap
    let key: SiteMap
    let value: SiteMap
    let attentionOutput: SiteMap
    let mlpNorm: Norm
    let up: SiteMap
    let down: SiteMap
  }

  let config: EncoderConfig
  let tokens: Table?
  let types: Table?
  let classRow: (name: String, vector: Tensor)?
  let patches: PatchMap?
  let positions: Table
  let embeddingNorm: Norm?
  let layers: [Layer]
  let finalNorm: Norm?
  let pooledNorm: Norm?
  let pooler: SiteMap?

  init(_ config: EncoderConfig, _ plan: EncoderPlan, _ weights: BaseWeights) {
    func norm(_ part: EncoderPlan.Norm) -> Norm {
      Norm(part: part, gains: weights.vector(part.weight), bias: weights.vector(part.bias), epsilon: config.normEpsilon)
    }
    func table(_ name: String) -> Table {
      Table(name: name, matrix: weights.matrix(name), site: plan.tables.first { $0.id.path + ".weight" == name }?.id)
    }
    func map(_ part: PlannedMap) -> SiteMap { SiteMap(part, weights) }
    self.config = config
    tokens = plan.tokens.map(table)
    types = plan.types.map(table)
    classRow = plan.classRow.map { ($0, weights.vector($0)) }
    patches = plan.patches.map { part in
      PatchMap(weight: (part.weight, weights.matrix(part.weight)), bias: part.bias.map { ($0, weights.vector($0)) })
    }
    positions = table(plan.positions)
    embeddingNorm = plan.embeddingNorm.map(norm)
    layers = plan.layers.map { layer in
      Layer(
        attentionNorm: norm(layer.attentionNorm), query: map(layer.query), key: map(layer.key), value: map(layer.value),
        attentionOutput: map(layer.attentionOutput), mlpNorm: norm(layer.mlpNorm), up: map(layer.up), down: map(layer.down))
    }
    finalNorm = plan.finalNorm.map(norm)
    pooledNorm = plan.pooledNorm.map(norm)
    pooler = plan.pooler.map(map)
  }
}
