import PEFTKernel

/// The parts of an encoder by name and shape, in forward order: what its file has to hold.
struct EncoderPlan: Sendable {
  struct Norm: Sendable {
    var weight: String
    var bias: String
  }

  struct Layer: Sendable {
    var attentionNorm: Norm
    var query: PlannedMap
    var key: PlannedMap
    var value: PlannedMap
    var attentionOutput: PlannedMap
    var mlpNorm: Norm
    var up: PlannedMap
    var down: PlannedMap

    var maps: [PlannedMap] { [query, key, value, attentionOutput, up, down] }
  }

  /// What else there is in the libraries' model, which decides on the prefix of its modules' paths.
  enum Standing: Sendable {
    /// Nothing: no prefix. Adapters of one with a head have it.
    case alone
    /// A head: the prefix. Adapters of one without have none.
    case underHead
    /// Another encoder: always the prefix.
    case besideAnother
  }

  private(set) var tokens: String?
  private(set) var types: String?
  private(set) var classRow: String?
  /// A convolution: no site, as it is no linear map in the libraries.
  private(set) var patches: (weight: String, bias: String?)?
  let positions: String
  private(set) var embeddingNorm: Norm?
  private(set) var layers: [Layer] = []
  private(set) var finalNorm: Norm?
  private(set) var pooledNorm: Norm?
  private(set) var pooler: PlannedMap?
  /// The tables of embeddings, as maps of one-hot rows.
  private(set) var tables: [Site] = []
  /// Every tensor once.
  private(set) var tensors: [PlannedTensor] = []
  /// The name of a tensor by others that files may have for it.
  private(set) var spellings: [String: String] = [:]

  /// Every map in forward order.
  var maps: [PlannedMap] { layers.flatMap(\.maps) + (pooler.map { [$0] } ?? []) }

  private let names: EncoderNames
  private let standing: Standing

  init(_ config: EncoderConfig, _ standing: Standing) {
    names = config.names
    self.standing = standing
    positions = names.prefix + names.positions
    embed(config)
    embeddingNorm = names.embeddingNorm.map { norm($0, config) }
    for index in 0..<config.layers { layers.append(layer(index, config)) }
    finalNorm = names.finalNorm.map { norm($0, config) }
    pooledNorm = names.pooledNorm.map { norm($0, config) }
    guard case .dense(let width, _) = config.pooling, let name = names.pooler else { return }
    pooler = map(name, "pooler", width, config.hiddenSize, deviation: config.deviations.others)
  }

  private mutating func embed(_ config: EncoderConfig) {
    let hidden = config.hiddenSize
    func batched(_ shape: [Int]) -> [Int] { names.isBatched ? [1] + shape : shape }
    switch config.input {
    case .text(let text):
      tokens = names.tokens.map { table($0, "token", text.vocabularySize, hidden, config.deviations.tokens) }
      add(
        PlannedTensor(
          name: positions, shape: [text.positionCount, hidden], kind: .matrix, deviation: config.deviations.positions))
      tables.append(site(ofTable: names.positions, "position", text.positionCount, hidden))
      if text.typeCount > 0 { types = names.types.map { table($0, "type", text.typeCount, hidden, config.deviations.tokens) } }
    case .image(let image):
      if let name = names.classRow {
        let classRow = names.prefix + name
        self.classRow = classRow
        let shape = names.isBatched ? [1, 1, hidden] : [hidden]
        add(PlannedTensor(name: classRow, shape: shape, kind: .vector, deviation: config.deviations.classRow))
      }
      let count = image.patchCount + 1
      add(
        PlannedTensor(
          name: positions, shape: batched([count, hidden]), kind: .matrix, view: names.isBatched ? [count, hidden] : nil,
          deviation: config.deviations.positions))
      // One that is no module of its own in the libraries takes no adapter.
      if !names.isBatched { tables.append(site(ofTable: names.positions, "position", count, hidden)) }
      guard let name = names.patches else { return }
      let path = names.prefix + name
      patches = (path + ".weight", image.hasPatchBias ? path + ".bias" : nil)
      let (height, width) = image.patch
      add(
        PlannedTensor(
          name: path + ".weight", shape: [hidden, image.shape.channels, height, width], kind: .matrix,
          view: [hidden, image.shape.channels * height * width], deviation: config.deviations.patches))
      if image.hasPatchBias { add(PlannedTensor(name: path + ".bias", shape: [hidden], kind: .biases)) }
    }
  }

  private mutating func layer(_ index: Int, _ config: EncoderConfig) -> Layer {
    let (hidden, inner, width) = (config.hiddenSize, config.innerSize, config.heads * config.headWidth)
    func path(_ layer: EncoderNames.Layer, _ name: String) -> String { "\(layer.path).\(index).\(name)" }
    func map(
      _ name: KeyPath<EncoderNames.Layer, String>, _ use: String, _ outputs: Int, _ inputs: Int, _ deviation: Double,
      hasBias: Bool = true
    ) -> PlannedMap {
      self.map(
        path(names.layer, names.layer[keyPath: name]), use, outputs, inputs, layer: index, hasBias: hasBias,
        deviation: deviation, newer: names.newerLayer.map { path($0, $0[keyPath: name]) })
    }
    func norm(_ name: String) -> Norm {
      self.norm(path(names.layer, name), config, newer: names.newerLayer.map { path($0, name) })
    }
    let deviations = config.deviations
    return Layer(
      attentionNorm: norm(names.attentionNorm),
      query: map(\.query, "attention.query", width, hidden, deviations.attentionInput, hasBias: config.hasQueryBias),
      key: map(\.key, "attention.key", width, hidden, deviations.attentionInput, hasBias: config.hasQueryBias),
      value: map(\.value, "attention.value", width, hidden, deviations.attentionInput, hasBias: config.hasQueryBias),
      attentionOutput: map(\.attentionOutput, "attention.output", hidden, width, deviations.attentionOutput),
      mlpNorm: norm(names.mlpNorm), up: map(\.up, "mlp.up", inner, hidden, deviations.up),
      down: map(\.down, "mlp.down", hidden, inner, deviations.down))
  }

  /// Paths with the prefix and without it, as the case may be; first those that the libraries' model has.
  private func prefixed(_ paths: [String]) -> [String] {
    let full = paths.map { names.prefix + $0 }
    return switch standing {
    case .alone: paths + full
    case .underHead: full + paths
    case .besideAnother: full
    }
  }

  /// `newer` is the path that it has in newer libraries.
  private mutating func map(
    _ name: String, _ use: String, _ outputs: Int, _ inputs: Int, layer: Int? = nil, hasBias: Bool = true, deviation: Double,
    newer: String? = nil
  ) -> PlannedMap {
    let path = names.prefix + name
    let paths = prefixed([newer, name].compactMap { $0 })
    let site = Site(
      id: SiteID(path), use: use, outputs: outputs, inputs: inputs, layer: layer, hasBias: hasBias, modulePath: SiteID(paths[0]),
      aliases: paths.dropFirst().filter { $0 != path }.map { SiteID($0) })
    let map = PlannedMap(site: site, weight: path + ".weight", bias: hasBias ? path + ".bias" : nil)
    add(PlannedTensor(name: map.weight, shape: [outputs, inputs], kind: .matrix, deviation: deviation), newer: newer)
    if let bias = map.bias { add(PlannedTensor(name: bias, shape: [outputs], kind: .biases), newer: newer) }
    for other in site.paths {
      spellings[other + ".weight"] = map.weight
      spellings[other + ".bias"] = path + ".bias"
    }
    return map
  }

  private mutating func norm(_ name: String, _ config: EncoderConfig, newer: String? = nil) -> Norm {
    let path = names.prefix + name
    let norm = Norm(weight: path + ".weight", bias: path + ".bias")
    add(PlannedTensor(name: norm.weight, shape: [config.hiddenSize], kind: .gains()), newer: newer)
    add(PlannedTensor(name: norm.bias, shape: [config.hiddenSize], kind: .biases), newer: newer)
    for other in prefixed([newer].compactMap { $0 }) {
      spellings[other + ".weight"] = norm.weight
      spellings[other + ".bias"] = norm.bias
    }
    // Files converted from TensorFlow.
    guard path.hasSuffix("LayerNorm") else { return norm }
    for path in prefixed([name]) {
      spellings[path + ".gamma"] = norm.weight
      spellings[path + ".beta"] = norm.bias
    }
    return norm
  }

  private mutating func table(_ name: String, _ use: String, _ rows: Int, _ columns: Int, _ deviation: Double) -> String {
    let weight = names.prefix + name + ".weight"
    add(PlannedTensor(name: weight, shape: [rows, columns], kind: .matrix, deviation: deviation))
    tables.append(site(ofTable: name + ".weight", use, rows, columns))
    return weight
  }

  private func site(ofTable weight: String, _ use: String, _ rows: Int, _ columns: Int) -> Site {
    let name = String(weight.dropLast(".weight".count))
    let (path, paths) = (names.prefix + name, prefixed([name]))
    return Site(
      id: SiteID(path), kind: .embedding, use: "embedding." + use, outputs: columns, inputs: rows, modulePath: SiteID(paths[0]),
      aliases: paths.dropFirst().filter { $0 != path }.map { SiteID($0) })
  }

  /// `newer` is the path of its module in newer libraries, without the prefix.
  private mutating func add(_ tensor: PlannedTensor, newer: String? = nil) {
    var tensor = tensor
    let last = tensor.name.split(separator: ".").last ?? ""
    let spelled = prefixed([newer.map { "\($0).\(last)" }, String(tensor.name.dropFirst(names.prefix.count))].compactMap { $0 })
    tensor.moduleName = spelled[0]
    tensor.aliases = spelled.dropFirst().filter { $0 != tensor.name }
    tensors.append(tensor)
  }
}
