/// The part that turns a word into ids.
protocol Model: Sendable {
  var vocabulary: Vocabulary { get }

  /// Appends the ids of one word, which is not empty.
  func encode(_ word: Range<Int>, of bytes: [UInt8], into ids: inout [Int])

  /// For each of the ids that `encode` gave for a word, how many of the word's bytes it covers, from the first on.
  func lengths(of ids: ArraySlice<Int>, in word: ArraySlice<UInt8>) -> [Int]
}

enum Models {
  static func read(_ field: Field) throws(TokenizerError) -> any Model {
    // Documents from before the field existed hold a BPE model, told by its merges.
    let isUntypedBPE = try field.members().allSatisfy { $0.key != "type" } && !field["merges"].isNull
    switch isUntypedBPE ? "BPE" : try field.type() {
    case "BPE": return try BPE(field)
    case "WordPiece": return try WordPiece(field)
    case "WordLevel": return try WordLevel(field)
    case let type: throw field.unsupported(type: type)
    }
  }
}

extension Vocabulary {
  /// Reads a `vocab` object.
  init(_ field: Field) throws(TokenizerError) {
    let members = try field.members()
    reserve(members.count)
    for member in members {
      // The path is spelled out only for a refusal: there are hundreds of thousands of these.
      guard let id = member.value.tokenID else {
        _ = try Field(path: "\(field.path)[\(quoted(member.key))]", value: member.value).tokenID()
        continue
      }
      if let holder = add(Array(member.key.utf8), id: id) {
        let other = quoted(String(decoding: holder, as: UTF8.self))
        throw field.refusal("\(other) and \(quoted(member.key)) share the id \(id)")
      }
    }
  }

  /// The id of the token that a field names.
  func id(named field: Field) throws(TokenizerError) -> UInt32 {
    let token = try field.string()
    guard let id = id(of: Array(token.utf8)) else { throw field.refusal("\(quoted(token)) is not in the vocabulary") }
    return id
  }
}

/// A token for every word, and one for all others.
struct WordLevel: Model {
  let vocabulary: Vocabulary
  private let unknown: Int

  init(_ field: Field) throws(TokenizerError) {
    vocabulary = try Vocabulary(field["vocab"])
    unknown = Int(try vocabulary.id(named: field["unk_token"]))
  }

  func encode(_ word: Range<Int>, of bytes: [UInt8], into ids: inout [Int]) {
    ids.append(vocabulary.id(of: Array(bytes[word])).map(Int.init) ?? unknown)
  }

  func lengths(of ids: ArraySlice<Int>, in word: ArraySlice<UInt8>) -> [Int] { ids.map { _ in word.count } }
}
