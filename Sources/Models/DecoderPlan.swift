import Engine
import PEFTKernel

/// The parts of a decoder by name and shape, in forward order: what its file has to hold.
struct DecoderPlan: Sendable {
  typealias Map = PlannedMap
  typealias Tensor = PlannedTensor

  struct Norm: Sendable {
    var weight: String
    var bias: String?
  }

  struct Layer: Sendable {
    var attentionNorm: Norm
    var attention: [Map]
    var queryNorm: Norm?
    var keyNorm: Norm?
    var attentionOutput: Map
    var attentionOutputNorm: Norm?
    var mlpNorm: Norm
    var gate: Map?
    var up: Map
    var down: Map
    var mlpOutputNorm: Norm?
  }

  private(set) var layers: [Layer] = []
  private(set) var finalNorm: Norm
  private(set) var head: Map
  let embedding: String
  let positions: String?
  /// Every tensor once.
  private(set) var tensors: [Tensor] = []
  private let prefix: String

  /// Every map in forward order.
  var maps: [Map] {
    layers.flatMap { $0.attention + [$0.attentionOutput] + ($0.gate.map { [$0] } ?? []) + [$0.up, $0.down] } + [head]
  }

  init(_ config: DecoderConfig) {
    let names = config.names
    let hidden = config.hiddenSize
    embedding = names.embedding + ".weight"
    positions = names.positions.map { $0 + ".weight" }
    prefix = names.prefix
    finalNorm = Norm(weight: "", bias: nil)
    head = Map(
      site: Site(id: SiteID(names.head), use: "head", outputs: config.vocabularySize, inputs: hidden),
      weight: config.isHeadTied ? embedding : names.head + ".weight")
    add(Tensor(name: embedding, shape: [config.vocabularySize, hidden], kind: .matrix))
    if let positions { add(Tensor(name: positions, shape: [config.maximumPositions, hidden], kind: .matrix)) }
    for index in config.layers.indices { layers.append(layer(index, config)) }
    finalNorm = norm(names.finalNorm, hidden, config)
    if !config.isHeadTied {
      add(Tensor(name: head.weight, shape: [config.vocabularySize, hidden], kind: .matrix))
    }
  }

  /// The site of an embedding table [rows, hidden].
  func table(_ weight: String, _ matrix: FrozenMatrix) -> Site {
    let path = String(weight.dropLast(".weight".count))
    return Site(
      id: SiteID(path), kind: .embedding, use: weight == embedding ? "embedding.token" : "embedding.position",
      outputs: matrix.columns, inputs: matrix.rows, aliases: bare(path).map { SiteID($0) })
  }

  /// What the bare decoder of the libraries calls it, to which adapters may belong as well.
  private func bare(_ name: String) -> [String] {
    name.hasPrefix(prefix) ? [String(name.dropFirst(prefix.count))] : []
  }

  private mutating func add(_ tensor: Tensor) {
    var tensor = tensor
    tensor.aliases = bare(tensor.name)
    tensors.append(tensor)
  }

  private mutating func layer(_ index: Int, _ config: DecoderConfig) -> Layer {
    let names = config.names
    let path = "\(names.layers).\(index)."
    let (queries, keys) = (config.heads * config.headWidth, config.groups * config.headWidth)
    func map(_ name: String, _ use: String, _ outputs: Int, _ inputs: Int, _ hasBias: Bool) -> Map {
      self.map(path + name, use, outputs, inputs, hasBias, layer: index, transposed: config.storesTransposed)
    }
    func norm(_ name: String?, _ width: Int = config.hiddenSize) -> Norm? {
      name.map { self.norm(path + $0, width, config) }
    }
    let attentionNorm = self.norm(path + names.attentionNorm, config.hiddenSize, config)
    let widths = config.isAttentionFused ? [queries + 2 * keys] : [queries, keys, keys]
    var attention: [Map] = []
    for (part, width) in zip(names.attention, widths) {
      attention.append(map(part.name, part.use, width, config.hiddenSize, config.hasAttentionBias))
    }
    let (queryNorm, keyNorm) = (norm(names.queryNorm, config.headWidth), norm(names.keyNorm, config.headWidth))
    let output = map(
      names.attentionOutput, "attention.output", config.hiddenSize, queries, config.hasAttentionOutputBias)
    let outputNorm = norm(names.attentionOutputNorm)
    let mlpNorm = self.norm(path + names.mlpNorm, config.hiddenSize, config)
    var gate: Map?
    if let name = names.gate { gate = map(name, "mlp.gate", config.innerSize, config.hiddenSize, config.hasMLPBias) }
    let up = map(names.up, "mlp.up", config.innerSize, config.hiddenSize, config.hasMLPBias)
    let down = map(names.down, "mlp.down", config.hiddenSize, config.innerSize, config.hasMLPBias)
    return Layer(
      attentionNorm: attentionNorm, attention: attention, queryNorm: queryNorm, keyNorm: keyNorm, attentionOutput: output,
      attentionOutputNorm: outputNorm, mlpNorm: mlpNorm, gate: gate, up: up, down: down, mlpOutputNorm: norm(names.mlpOutputNorm))
  }

  private mutating func map(
    _ path: String, _ use: String, _ outputs: Int, _ inputs: Int, _ hasBias: Bool, layer: Int, transposed: Bool
  ) -> Map {
    let site = Site(
      id: SiteID(path), use: use, outputs: outputs, inputs: inputs, layer: layer, hasBias: hasBias,
      aliases: bare(path).map { SiteID($0) })
    let map = Map(site: site, weight: path + ".weight", bias: hasBias ? path + ".bias" : nil)
    add(
      Tensor(
        name: map.weight, shape: transposed ? [inputs, outputs] : [outputs, inputs], kind: .matrix, isTransposed: transposed))
    if let bias = map.bias { add(Tensor(name: bias, shape: [outputs], kind: .biases)) }
    return map
  }

  private mutating func norm(_ path: String, _ width: Int, _ config: DecoderConfig) -> Norm {
    let norm = Norm(weight: path + ".weight", bias: config.norm == .layer ? path + ".bias" : nil)
    add(Tensor(name: norm.weight, shape: [width], kind: .gains(offset: config.gainOffset)))
    if let bias = norm.bias { add(Tensor(name: bias, shape: [width], kind: .biases)) }
    return norm
  }
}
