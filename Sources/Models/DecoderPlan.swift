import Engine
import PEFTKernel

/// The parts of a decoder by name and shape, in forward order: what its file has to hold.
struct DecoderPlan: Sendable {
  /// A map: its site, and the tensors it is made of.
  struct Map: Sendable {
    var site: Site
    var weight: String
    var bias: String?
  }

  struct Norm: Sendable {
    var weight: String
    var bias: String?
  }

  struct Layer: Sendable {
    var attentionNorm: Norm
    var attention: [Map]
    var attentionOutput: Map
    var mlpNorm: Norm
    var gate: Map?
    var up: Map
    var down: Map
  }

  struct Tensor: Sendable {
    enum Kind: Sendable {
      /// A weight or a table.
      case matrix
      /// A norm's factors.
      case gains
      case biases
    }

    var name: String
    /// As stored.
    var shape: [Int]
    var kind: Kind
    /// Whether the shape is [inputs, outputs].
    var isTransposed = false
  }

  private(set) var layers: [Layer] = []
  private(set) var finalNorm: Norm
  private(set) var head: Map
  let embedding: String
  let positions: String?
  /// Every tensor once.
  private(set) var tensors: [Tensor] = []

  /// Every map in forward order.
  var maps: [Map] {
    layers.flatMap { $0.attention + [$0.attentionOutput] + ($0.gate.map { [$0] } ?? []) + [$0.up, $0.down] } + [head]
  }

  init(_ config: DecoderConfig) {
    let names = config.names
    let hidden = config.hiddenSize
    embedding = names.embedding + ".weight"
    positions = names.positions.map { $0 + ".weight" }
    tensors.append(Tensor(name: embedding, shape: [config.vocabularySize, hidden], kind: .matrix))
    if let positions { tensors.append(Tensor(name: positions, shape: [config.maximumPositions, hidden], kind: .matrix)) }
    finalNorm = Norm(weight: "", bias: nil)
    head = Map(
      site: Site(id: SiteID(names.head), use: "head", outputs: config.vocabularySize, inputs: hidden),
      weight: config.isHeadTied ? embedding : names.head + ".weight")
    for index in 0..<config.layers { layers.append(layer(index, config)) }
    finalNorm = norm(names.finalNorm, config)
    if !config.isHeadTied {
      tensors.append(Tensor(name: head.weight, shape: [config.vocabularySize, hidden], kind: .matrix))
    }
  }

  /// The site of an embedding table [rows, hidden].
  static func table(_ weight: String, _ matrix: FrozenMatrix, isToken: Bool) -> Site {
    Site(
      id: SiteID(String(weight.dropLast(".weight".count))), kind: .embedding,
      use: isToken ? "embedding.token" : "embedding.position",
      outputs: matrix.columns, inputs: matrix.rows)
  }

  private mutating func layer(_ index: Int, _ config: DecoderConfig) -> Layer {
    let names = config.names
    let path = "\(names.layers).\(index)."
    let (queries, keys) = (config.heads * config.headWidth, config.groups * config.headWidth)
    func map(_ name: String, _ use: String, _ outputs: Int, _ inputs: Int, _ hasBias: Bool) -> Map {
      self.map(path + name, use, outputs, inputs, hasBias, layer: index, transposed: config.storesTransposed)
    }
    let attentionNorm = norm(path + names.attentionNorm, config)
    let widths = config.isAttentionFused ? [queries + 2 * keys] : [queries, keys, keys]
    var attention: [Map] = []
    for (part, width) in zip(names.attention, widths) {
      attention.append(map(part.name, part.use, width, config.hiddenSize, config.hasAttentionBias))
    }
    let output = map(
      names.attentionOutput, "attention.output", config.hiddenSize, queries, config.hasAttentionBias)
    let mlpNorm = norm(path + names.mlpNorm, config)
    var gate: Map?
    if let name = names.gate { gate = map(name, "mlp.gate", config.innerSize, config.hiddenSize, config.hasMLPBias) }
    let up = map(names.up, "mlp.up", config.innerSize, config.hiddenSize, config.hasMLPBias)
    let down = map(names.down, "mlp.down", config.hiddenSize, config.innerSize, config.hasMLPBias)
    return Layer(
      attentionNorm: attentionNorm, attention: attention, attentionOutput: output, mlpNorm: mlpNorm, gate: gate, up: up,
      down: down)
  }

  private mutating func map(
    _ path: String, _ use: String, _ outputs: Int, _ inputs: Int, _ hasBias: Bool, layer: Int, transposed: Bool
  ) -> Map {
    let site = Site(id: SiteID(path), use: use, outputs: outputs, inputs: inputs, layer: layer, hasBias: hasBias)
    let map = Map(site: site, weight: path + ".weight", bias: hasBias ? path + ".bias" : nil)
    tensors.append(
      Tensor(
        name: map.weight, shape: transposed ? [inputs, outputs] : [outputs, inputs], kind: .matrix, isTransposed: transposed))
    if let bias = map.bias { tensors.append(Tensor(name: bias, shape: [outputs], kind: .biases)) }
    return map
  }

  private mutating func norm(_ path: String, _ config: DecoderConfig) -> Norm {
    let norm = Norm(weight: path + ".weight", bias: config.norm == .layer ? path + ".bias" : nil)
    tensors.append(Tensor(name: norm.weight, shape: [config.hiddenSize], kind: .gains))
    if let bias = norm.bias { tensors.append(Tensor(name: bias, shape: [config.hiddenSize], kind: .biases)) }
    return norm
  }
}
