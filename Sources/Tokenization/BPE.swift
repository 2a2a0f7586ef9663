import JSON

/// Byte-pair encoding: a word starts as characters, and the adjacent pair that was learned first is joined until no
/// known pair is left.
struct BPE: Model {
  let vocabulary: Vocabulary
  private let merges: Merges
  /// Ids of the tokens of one character.
  private let characters: [UInt32: UInt32]
  private let unknown: UInt32?
  private let fusesUnknown: Bool
  private let ignoresMerges: Bool

  init(_ field: Field) throws(TokenizerError) {
    try Self.refuseUnsupported(field)
    let vocabulary = try Self.vocabulary(field["vocab"])
    var unknown: UInt32?
    if !field["unk_token"].isNull {
      let token = try field["unk_token"].string()
      unknown = vocabulary.id(of: Array(token.utf8))
      if unknown == nil { throw field["unk_token"].refusal("\(quoted(token)) is not in the vocabulary") }
    }
    var characters: [UInt32: UInt32] = [:]
    for (token, id) in vocabulary.ids {
      guard let lead = token.first, token.count == (lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4) else { continue }
      characters[token.scalar(at: 0).value.value] = id
    }
    merges = try Merges(field["merges"], vocabulary: vocabulary)
    fusesUnknown = try field["fuse_unk"].bool(default: false)
    ignoresMerges = try field["ignore_merges"].bool(default: false)
    self.vocabulary = vocabulary
    self.characters = characters
    self.unknown = unknown
  }

  func encode(_ word: ArraySlice<UInt8>, into ids: inout [Int]) {
    if ignoresMerges, let id = vocabulary.id(of: Array(word)) {
      ids.append(Int(id))
      return
    }
    var symbols = symbols(of: Array(word))
    merges.apply(to: &symbols)
    for symbol in symbols { ids.append(Int(symbol)) }
  }

  /// The ids of the word's characters; one outside the vocabulary is the unknown token, or nothing without one.
  private func symbols(of word: [UInt8]) -> [UInt32] {
    var symbols: [UInt32] = []
    symbols.reserveCapacity(word.count)
    var followsUnknown = false
    var at = 0
    while at < word.count {
      let scalar = word.scalar(at: at)
      at = scalar.end
      if let id = characters[scalar.value.value] {
        symbols.append(id)
        followsUnknown = false
      } else if let unknown {
        if !(fusesUnknown && followsUnknown) { symbols.append(unknown) }
        followsUnknown = true
      }
    }
    return symbols
  }
}

extension BPE {
  private static func refuseUnsupported(_ field: Field) throws(TokenizerError) {
    let dropout = field["dropout"]
    if !dropout.isNull, dropout.value.double != 0 { throw dropout.refusal("dropout is not supported") }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] where !field[key].isNull {
      let affix = try field[key].string()
      if !affix.isEmpty { throw field[key].refusal("\(quoted(affix)) is not supported") }
    }
    if try field["byte_fallback"].bool(default: false) { throw field["byte_fallback"].refusal("true is not supported") }
  }

  private static func vocabulary(_ field: Field) throws(TokenizerError) -> Vocabulary {
    var vocabulary = Vocabulary()
    let members = try field.members()
    vocabulary.reserve(members.count)
    for member in members {
      // Built by hand: looking the member up by its key would make this quadratic.
      let id = try Field(path: "\(field.path)[\(quoted(member.key))]", value: member.value).tokenID()
      if let holder = vocabulary.add(Array(member.key.utf8), id: id) {
        let other = quoted(String(decoding: holder, as: UTF8.self))
        throw field.refusal("\(other) and \(quoted(member.key)) share the id \(id)")
      }
    }
    return vocabulary
  }
}
