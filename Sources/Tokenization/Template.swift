/// The pattern for a single text; the one for pairs is not read.
struct Template: PostProcessor {
  private enum Piece: Sendable {
    case text
    case special([Int])
  }

  private let pieces: [Piece]

  init(_ field: Field, _ vocabulary: Vocabulary) throws(TokenizerError) {
    var pieces: [Piece] = []
    var hasText = false
    for item in try field["single"].items() {
      let special = item["SpecialToken"]
      let sequence = item["Sequence"]
      if !special.isNull {
        let name = try special["id"].string()
        let token = field["special_tokens"][name]
        guard !token.isNull else { throw special["id"].refusal("\(quoted(name)) is not among the special tokens") }
        var ids: [Int] = []
        for item in try token["ids"].items() {
          let id = Int(try item.tokenID())
          // A model has no embedding for it.
          guard vocabulary.token(of: id) != nil else { throw item.refusal("\(id) is the id of no token") }
          ids.append(id)
        }
        pieces.append(.special(ids))
      } else if !sequence.isNull {
        let name = try sequence["id"].string()
        guard name == "A" else { throw sequence["id"].refusal("\(quoted(name)) is no part of a single text") }
        guard !hasText else { throw item.refusal("the text twice is not supported") }
        hasText = true
        pieces.append(.text)
      } else {
        throw item.refusal("expected a \"SpecialToken\" or a \"Sequence\"")
      }
    }
    self.pieces = pieces
  }

  func process(_ ids: [Int]) -> [Int] {
    pieces.flatMap { piece in
      switch piece {
      case .text: ids
      case .special(let special): special
      }
    }
  }
}
