/// Patterns for one text and for two.
struct Template: PostProcessor {
  private enum Piece: Sendable {
    /// The first text or the second.
    case text(Int, type: Int)
    case special([Int], type: Int)
  }

  private let single: [Piece]
  private let pair: [Piece]?

  init(_ field: Field, _ vocabulary: Vocabulary) throws(TokenizerError) {
    single = try Self.pieces(field["single"], field["special_tokens"], ["A"], vocabulary)
    pair = field["pair"].isNull ? nil : try Self.pieces(field["pair"], field["special_tokens"], ["A", "B"], vocabulary)
  }

  private static func pieces(
    _ field: Field, _ specialTokens: Field, _ names: [String], _ vocabulary: Vocabulary
  ) throws(TokenizerError) -> [Piece] {
    var pieces: [Piece] = []
    var used: Set<String> = []
    for item in try field.items() {
      let special = item["SpecialToken"]
      let sequence = item["Sequence"]
      if !special.isNull {
        let name = try special["id"].string()
        let token = specialTokens[name]
        guard !token.isNull else { throw special["id"].refusal("\(quoted(name)) is not among the special tokens") }
        var ids: [Int] = []
        for item in try token["ids"].items() {
          let id = Int(try item.tokenID())
          // A model has no embedding for it.
          guard vocabulary.token(of: id) != nil else { throw item.refusal("\(id) is the id of no token") }
          ids.append(id)
        }
        pieces.append(.special(ids, type: try type(special)))
      } else if !sequence.isNull {
        let name = try sequence["id"].string()
        guard let number = names.firstIndex(of: name) else {
          throw sequence["id"].refusal("\(quoted(name)) is no part of \(names.count == 1 ? "a single text" : "a pair")")
        }
        guard used.insert(name).inserted else { throw item.refusal("the text twice is not supported") }
        pieces.append(.text(number, type: try type(sequence)))
      } else {
        throw item.refusal("expected a \"SpecialToken\" or a \"Sequence\"")
      }
      guard pieces.count <= 1000 else { throw item.refusal("more than 1000 pieces are not supported") }
    }
    return pieces
  }

  private static func type(_ field: Field) throws(TokenizerError) -> Int {
    field["type_id"].isNull ? 0 : Int(try field["type_id"].tokenID())
  }

  var takesPairs: Bool { pair != nil }

  func addedTokens(isPair: Bool) -> Int {
    (isPair ? pair ?? [] : single).reduce(0) { sum, piece in
      if case .special(let ids, _) = piece { sum + ids.count } else { sum }
    }
  }

  func process(_ sequences: [EncodedSequence], addsSpecialTokens: Bool) -> [EncodedSequence] {
    var result: [EncodedSequence] = []
    for piece in (sequences.count == 1 ? single : pair) ?? [] {
      switch piece {
      case .text(let number, let type):
        guard number < sequences.count else { continue }
        var sequence = sequences[number]
        sequence.setType(type)
        result.append(sequence)
      case .special(let ids, let type):
        if addsSpecialTokens { result.append(EncodedSequence(ids: ids, type: type, isSpecial: true)) }
      }
    }
    return result
  }
}
