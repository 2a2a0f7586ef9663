import Engine
import Files
import PEFTKernel

/// A causal transformer of whichever family its configuration describes.
struct Decoder: LanguageModel {
  /// A site's map, bound to its weights.
  struct Map: Sendable {
    let part: DecoderPlan.Map
    let frozen: FrozenMap
  }

  struct Norm: Sendable {
    let part: DecoderPlan.Norm
    let gains: Tensor
    let bias: Tensor?
  }

  struct Layer: Sendable {
    let attentionNorm: Norm
    let attention: [Map]
    let attentionOutput: Map
    let mlpNorm: Norm
    let gate: Map?
    let up: Map
    let down: Map
  }

  let directory: ModelDirectory
  let config: DecoderConfig
  let sites: [Site]
  let tables: [Site]
  let layers: [Layer]
  let finalNorm: Norm
  let head: Map
  let embedding: (name: String, table: FrozenMatrix)
  let positions: (name: String, table: FrozenMatrix)?
  let rotary: RotaryTable?
  private let weights: BaseWeights
  private let maps: [SiteID: FrozenMap]

  var modelType: String { config.modelType }
  var vocabularySize: Int { config.vocabularySize }
  var maximumPositions: Int { config.maximumPositions }
  var hiddenSize: Int { config.hiddenSize }
  var parameters: [BaseParameter] { weights.parameters }

  /// With the directory's weights, or with fresh ones drawn from `seed`.
  init(_ directory: ModelDirectory, seed: UInt64? = nil) throws(FileError) {
    let config = try DecoderConfig(directory)
    let plan = DecoderPlan(config)
    let weights =
      if let seed {
        try BaseWeights(plan, config, seed: seed, file: Folder.join(directory.path, "config.json"))
      } else {
        try BaseWeights(plan, config, from: directory)
      }
    func map(_ part: DecoderPlan.Map) -> Map {
      Map(part: part, frozen: FrozenMap(matrix: weights.matrix(part.weight), bias: part.bias.map { weights.vector($0) }))
    }
    func norm(_ part: DecoderPlan.Norm) -> Norm {
      Norm(part: part, gains: weights.vector(part.weight), bias: part.bias.map { weights.vector($0) })
    }
    self.directory = directory
    self.config = config
    self.weights = weights
    sites = plan.maps.map { map in
      let site = map.site
      return Site(
        id: site.id, kind: site.kind, use: site.use, outputs: site.outputs, inputs: site.inputs, layer: site.layer,
        hasBias: site.hasBias, isQuantized: weights.matrix(map.weight).isQuantized)
    }
    layers = plan.layers.map { layer in
      Layer(
        attentionNorm: norm(layer.attentionNorm), attention: layer.attention.map(map),
        attentionOutput: map(layer.attentionOutput), mlpNorm: norm(layer.mlpNorm), gate: layer.gate.map(map),
        up: map(layer.up), down: map(layer.down))
    }
    finalNorm = norm(plan.finalNorm)
    head = map(plan.head)
    embedding = (plan.embedding, weights.matrix(plan.embedding))
    positions = plan.positions.map { ($0, weights.matrix($0)) }
    if case .rotary(let settings) = config.positions { rotary = RotaryTable(settings) } else { rotary = nil }
    let tables = ([embedding.name] + (positions.map { [$0.name] } ?? [])).map { name in
      (site: DecoderPlan.table(name, weights.matrix(name), isToken: name == plan.embedding), matrix: weights.matrix(name))
    }
    self.tables = tables.map(\.site)
    maps = Dictionary(
      uniqueKeysWithValues: plan.maps.map { ($0.site.id, map($0).frozen) }
        + tables.map { ($0.site.id, FrozenMap(matrix: $0.matrix.transposed)) })
  }

  func parameter(_ name: String) -> Tensor { weights.values(name) }

  func base(_ id: SiteID) -> any BaseMap {
    guard let map = maps[id] else { preconditionFailure("\(modelType) has no site \(id)") }
    return map
  }

  func makeCache(capacity: Int) -> KVCache { KVCache(capacity: capacity) }
}
