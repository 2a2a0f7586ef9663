/// BERT's model: a word is the longest token it begins with, and so on with the rest; a word that comes to nothing on
/// the way is unknown as a whole.
struct WordPiece: Model {
  let vocabulary: Vocabulary
  private let unknown: Int
  private let longestWord: Int
  private let prefixLength: Int
  /// The tokens that may begin a word.
  private var heads = ByteTrie<UInt32>()
  /// The tokens that may go on with one, without the prefix that says so.
  private var tails = ByteTrie<UInt32>()

  init(_ field: Field) throws(TokenizerError) {
    vocabulary = try Vocabulary(field["vocab"])
    unknown = Int(try vocabulary.id(named: field["unk_token"]))
    let prefix = Array(try field["continuing_subword_prefix"].string().utf8)
    prefixLength = prefix.count
    longestWord = try field["max_input_chars_per_word"].int()
    guard longestWord >= 0 else { throw field["max_input_chars_per_word"].refusal("\(longestWord) is less than 0") }
    for (token, id) in vocabulary.ids {
      guard token.count <= ByteTrie<UInt32>.longest else {
        throw field["vocab"].refusal(
          "the token with the id \(id) has \(token.count) bytes: \(ByteTrie<UInt32>.longest) are the most")
      }
      heads.insert(token, id)
      if token.starts(with: prefix) { tails.insert(token.dropFirst(prefix.count), id) }
    }
  }

  func encode(_ word: Range<Int>, of bytes: [UInt8], into ids: inout [Int]) {
    let count = ids.count
    // Bytes that begin a character.
    var characters = 0
    for at in word where bytes[at] & 0xC0 != 0x80 { characters += 1 }
    guard characters <= longestWord else { return ids.append(unknown) }
    var at = word.lowerBound
    while at < word.upperBound {
      let piece =
        at == word.lowerBound
        ? heads.longest(in: bytes, from: at, to: word.upperBound) : tails.longest(in: bytes, from: at, to: word.upperBound)
      guard let piece else {
        ids.removeLast(ids.count - count)
        return ids.append(unknown)
      }
      ids.append(Int(piece.value))
      at = piece.end
    }
  }

  func lengths(of ids: ArraySlice<Int>, in word: ArraySlice<UInt8>) -> [Int] {
    if ids.count == 1 { return [word.count] }
    return ids.enumerated().map { i, id in (vocabulary.token(of: id)?.count ?? 0) - (i == 0 ? 0 : prefixLength) }
  }
}
