/// A rewriting of the text before it is cut into words.
protocol Normalizer: Sendable {
  func normalize(_ text: inout [UInt8])
}

enum Normalizers {
  /// The steps of a `normalizer` field, sequences flattened.
  static func read(_ field: Field) throws(TokenizerError) -> [any Normalizer] {
    if field.isNull { return [] }
    switch try field.type() {
    case "NFC": return [NFC()]
    case "Sequence":
      var steps: [any Normalizer] = []
      for item in try field["normalizers"].items() { steps += try read(item) }
      return steps
    case let type: throw field.unsupported(type: type)
    }
  }
}
