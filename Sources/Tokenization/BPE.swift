import JSON

/// Byte-pair encoding: a word starts as characters, and the adjacent pair that was learned first is joined until no
/// known pair is left.
struct BPE: Model {
  let vocabulary: Vocabulary
  private let merges: Merges
  private let characters: CharacterTokens
  private let unknown: UInt32?
  private let fusesUnknown: Bool
  private let ignoresMerges: Bool

  init(_ field: Field) throws(TokenizerError) {
    let dropout = field["dropout"]
    if !dropout.isNull, dropout.value.double != 0 { throw dropout.refusal("dropout is not supported") }
    vocabulary = try Vocabulary(field["vocab"])
    unknown = field["unk_token"].isNull ? nil : try vocabulary.id(named: field["unk_token"])
    characters = try CharacterTokens(field, vocabulary)
    merges = try Merges(field["merges"], vocabulary: vocabulary, prefixLength: characters.prefix.count)
    fusesUnknown = try field["fuse_unk"].bool(default: false)
    ignoresMerges = try field["ignore_merges"].bool(default: false)
  }

  func encode(_ word: Range<Int>, of bytes: [UInt8], into ids: inout [Int]) {
    if ignoresMerges, let id = vocabulary.id(of: Array(bytes[word])) {
      ids.append(Int(id))
      return
    }
    var symbols = symbols(of: word, bytes)
    merges.apply(to: &symbols)
    for symbol in symbols { ids.append(Int(symbol)) }
  }

  /// The ids of the word's characters; one outside the vocabulary is its bytes, the unknown token, or nothing.
  private func symbols(of word: Range<Int>, _ bytes: [UInt8]) -> [UInt32] {
    var symbols: [UInt32] = []
    symbols.reserveCapacity(word.count)
    // Held back until what follows is known, as the library does: bytes overtake it.
    var pendingUnknown: UInt32?
    var at = word.lowerBound
    while at < word.upperBound {
      let (isFirst, start) = (at == word.lowerBound, at)
      let scalar = bytes.scalar(at: at)
      at = scalar.end
      let isLast = at == word.upperBound
      if let id = characters.id(of: scalar.value, isFirst: isFirst, isLast: isLast) {
        if let unknown = pendingUnknown { symbols.append(unknown) }
        pendingUnknown = nil
        symbols.append(id)
      } else if characters.appendBytes(of: bytes[start..<at], isFirst: isFirst, isLast: isLast, to: &symbols) {
        continue
      } else if let unknown {
        if let pending = pendingUnknown, !fusesUnknown { symbols.append(pending) }
        pendingUnknown = unknown
      }
    }
    if let unknown = pendingUnknown { symbols.append(unknown) }
    return symbols
  }

  func lengths(of ids: ArraySlice<Int>, in word: ArraySlice<UInt8>) -> [Int] {
    if ids.count == 1 { return [word.count] }
    let word = Array(word)
    var lengths: [Int] = []
    var at = 0
    for id in ids {
      let start = at
      if UInt32(exactly: id) == unknown {
        // One character, or all until the next known one.
        repeat { at = word.scalar(at: at).end } while at < word.count && fusesUnknown && isUnknown(at, in: word)
      } else if characters.isByte(id) {
        at += 1
      } else {
        // A character that is nothing to the vocabulary takes no id.
        while unknown == nil, at < word.count, isUnknown(at, in: word) { at = word.scalar(at: at).end }
        let token = vocabulary.token(of: id) ?? []
        at += characters.bareLength(of: token, isFirst: start == 0, isLast: lengths.count == ids.count - 1)
      }
      at = min(max(at, start), word.count)
      lengths.append(at - start)
    }
    return lengths
  }

  private func isUnknown(_ at: Int, in word: [UInt8]) -> Bool {
    let scalar = word.scalar(at: at)
    return characters.id(of: scalar.value, isFirst: at == 0, isLast: scalar.end == word.count) == nil
  }
}
