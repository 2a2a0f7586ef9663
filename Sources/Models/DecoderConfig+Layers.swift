import Files

extension DecoderConfig {
  /// What a config calls the kinds of layers.
  enum LayerKind: String, Sendable, CaseIterable {
    case full = "full_attention"
    case sliding = "sliding_attention"
  }

  /// The kinds in `layer_types`, or those that a family has by itself.
  static func layerKinds(
    _ reader: ConfigReader, count: Int, default kind: (_ index: Int) -> LayerKind
  ) throws(FileError) -> [LayerKind] {
    guard let (name, value) = reader.value(["layer_types"]) else { return (0..<count).map(kind) }
    guard let types = value.array, types.count == count else {
      throw reader.unfit(name, value, "a list with one entry for each of the \(count) layers is wanted")
    }
    var kinds: [LayerKind] = []
    for type in types {
      // "attention" is what some older files say.
      guard let kind = type.string.flatMap(LayerKind.init(rawValue:)) ?? (type.string == "attention" ? .full : nil) else {
        throw reader.unsupported(name, type, "supported: \(LayerKind.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      kinds.append(kind)
    }
    return kinds
  }

  /// Layers that are all of one kind, which a config may say once more.
  static func layerKinds(_ reader: ConfigReader, count: Int, all kind: LayerKind) throws(FileError) -> [LayerKind] {
    let kinds = try layerKinds(reader, count: count) { _ in kind }
    if let other = kinds.first(where: { $0 != kind }) {
      throw reader.unsupported("layer_types", .string(other.rawValue), "all layers of this model are \(kind.rawValue)")
    }
    return kinds
  }
}
