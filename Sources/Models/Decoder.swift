import Engine
import Files
import PEFTKernel

/// A causal transformer of whichever family its configuration describes.
struct Decoder: LanguageModel {
  typealias Map = SiteMap

  struct Norm: Sendable {
    let part: DecoderPlan.Norm
    let gains: Tensor
    let bias: Tensor?
  }

  struct Layer: Sendable {
    let attentionNorm: Norm
    let attention: [Map]
    let queryNorm: Norm?
    let keyNorm: Norm?
    let shape: AttentionShape
    /// Which of the model's tables turns queries and keys.
    let rotary: Int?
    let attentionOutput: Map
    let attentionOutputNorm: Norm?
    let mlpNorm: Norm
    let gate: Map?
    let up: Map
    let down: Map
    let mlpOutputNorm: Norm?
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
  /// What embeddings are multiplied by.
  let embeddingScale: Double?
  /// One for each of the settings that layers have.
  let rotaries: [RotaryTable]
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
        try BaseWeights(WeightPlan(plan, config), seed: seed, file: Folder.join(directory.path, "config.json"))
      } else {
        try BaseWeights(WeightPlan(plan, config), from: directory)
      }
    func map(_ part: DecoderPlan.Map) -> Map { SiteMap(part, weights) }
    func norm(_ part: DecoderPlan.Norm) -> Norm {
      Norm(part: part, gains: weights.vector(part.weight), bias: part.bias.map { weights.vector($0) })
    }
    self.directory = directory
    self.config = config
    self.weights = weights
    sites = plan.maps.map { weights.site($0) }
    var settings: [RotarySettings] = []
    for layer in config.layers {
      if let rotary = layer.rotary, !settings.contains(rotary) { settings.append(rotary) }
    }
    rotaries = settings.map { RotaryTable($0) }
    layers = zip(plan.layers, config.layers).map { [settings] layer, own in
      Layer(
        attentionNorm: norm(layer.attentionNorm), attention: layer.attention.map(map), queryNorm: layer.queryNorm.map(norm),
        keyNorm: layer.keyNorm.map(norm),
        shape: AttentionShape(
          heads: config.heads, groups: config.groups, width: config.headWidth, scale: own.scoreScale,
          sight: own.window.map { AttentionShape.Sight.window($0) } ?? .past, scoreCap: config.scoreCap),
        rotary: own.rotary.flatMap { settings.firstIndex(of: $0) }, attentionOutput: map(layer.attentionOutput),
        attentionOutputNorm: layer.attentionOutputNorm.map(norm), mlpNorm: norm(layer.mlpNorm), gate: layer.gate.map(map),
        up: map(layer.up), down: map(layer.down), mlpOutputNorm: layer.mlpOutputNorm.map(norm))
    }
    finalNorm = norm(plan.finalNorm)
    head = map(plan.head)
    embedding = (plan.embedding, weights.matrix(plan.embedding))
    positions = plan.positions.map { ($0, weights.matrix($0)) }
    let type = config.type ?? weights.parameters.first { $0.name == plan.embedding }?.type
    // A float even where the model is wider, as in transformers.
    embeddingScale = config.embeddingScale.map { Double(Float($0)) }.map { WeightType(type ?? .f32)?.rounded($0) ?? $0 }
    let tables = ([embedding.name] + (positions.map { [$0.name] } ?? [])).map { name in
      (site: plan.table(name, weights.matrix(name)), matrix: weights.matrix(name))
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
