/// Puts special tokens around the ids of a text.
protocol PostProcessor: Sendable {
  func process(_ ids: [Int]) -> [Int]
}

enum PostProcessors {
  /// The steps of a `post_processor` field, sequences flattened.
  static func read(_ field: Field, _ vocabulary: Vocabulary) throws(TokenizerError) -> [any PostProcessor] {
    if field.isNull { return [] }
    switch try field.type() {
    // Moves offsets only, and this room gives none.
    case "ByteLevel": return []
    case "TemplateProcessing": return [try Template(field, vocabulary)]
    case "Sequence":
      var steps: [any PostProcessor] = []
      for item in try field["processors"].items() { steps += try read(item, vocabulary) }
      return steps
    case let type: throw field.unsupported(type: type)
    }
  }
}
