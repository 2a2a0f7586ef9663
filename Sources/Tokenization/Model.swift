/// The part that turns a word into ids.
protocol Model: Sendable {
  var vocabulary: Vocabulary { get }

  /// Appends the ids of one word, which is not empty.
  func encode(_ word: ArraySlice<UInt8>, into ids: inout [Int])
}

enum Models {
  static func read(_ field: Field) throws(TokenizerError) -> any Model {
    // Documents from before the field existed hold a BPE model, told by its merges.
    let isUntypedBPE = try field.members().allSatisfy { $0.key != "type" } && !field["merges"].isNull
    switch isUntypedBPE ? "BPE" : try field.type() {
    case "BPE": return try BPE(field)
    case let type: throw field.unsupported(type: type)
    }
  }
}
