/// A rewriting of the text before it is cut into words.
protocol Normalizer: Sendable {
  func normalize(_ text: inout SourcedText)

  /// How many times as long a text may become, at the worst.
  var growth: Int { get }
}

extension Normalizer {
  var growth: Int { 3 }
}

extension [any Normalizer] {
  func normalize(_ text: inout SourcedText) {
    for normalizer in self { normalizer.normalize(&text) }
  }
}

enum Normalizers {
  /// The steps of a `normalizer` field, sequences flattened.
  static func read(_ field: Field) throws(TokenizerError) -> [any Normalizer] {
    if field.isNull { return [] }
    let steps = try Self.steps(field)
    try field.limitGrowth(steps.map(\.growth))
    return steps
  }

  private static func steps(_ field: Field) throws(TokenizerError) -> [any Normalizer] {
    switch try field.type() {
    case "NFC": return [NormalForm.composed]
    case "NFD": return [NormalForm.decomposed]
    case "NFKC": return [NormalForm.compatiblyComposed]
    case "NFKD": return [NormalForm.compatiblyDecomposed]
    case "Lowercase": return [Lowercase()]
    case "StripAccents": return [StripAccents()]
    case "Nmt": return [NMTCleaning()]
    case "ByteLevel": return [ByteLevelNormalizer()]
    case "BertNormalizer": return try BertCleaning.steps(field)
    case "Strip": return [Strip(left: try field["strip_left"].bool(), right: try field["strip_right"].bool())]
    case "Prepend": return [Prepend(content: Array(try field["prepend"].string().utf8))]
    case "Replace": return [try Replace(field)]
    case "Sequence":
      var steps: [any Normalizer] = []
      for item in try field["normalizers"].items() { steps += try Self.steps(item) }
      return steps
    case let type: throw field.unsupported(type: type)
    }
  }
}

extension Field {
  /// Refuses a chain of steps, each of which may lengthen a text so many times, that could fill any memory: files come
  /// from strangers.
  func limitGrowth(_ factors: [Int]) throws(TokenizerError) {
    let limit = 4096
    var product = 1
    for factor in factors {
      product = product.multipliedReportingOverflow(by: max(factor, 1)).partialValue
      guard factor <= limit, product <= limit else {
        throw refusal("together these steps could make a text more than \(limit) times as long, which is not supported")
      }
    }
    guard factors.count <= 256 else { throw refusal("\(factors.count) steps are not supported: 256 are the most") }
  }
}
