/// A token found in the text itself, before it is cut into words.
public struct AddedToken: Sendable, Equatable {
  public let id: Int
  public let content: String
  /// Left out by `decode` unless asked for.
  public let isSpecial: Bool
  /// Takes the white space before it along.
  public let stripsLeft: Bool
  /// Takes the white space after it along.
  public let stripsRight: Bool
  /// Found only where no letter or digit touches it.
  public let isSingleWord: Bool
  /// Looked for after normalization, in its normalized form.
  public let isNormalized: Bool

  init(_ field: Field) throws(TokenizerError) {
    id = Int(try field["id"].tokenID())
    content = try field["content"].string()
    isSpecial = try field["special"].bool(default: false)
    stripsLeft = try field["lstrip"].bool(default: false)
    stripsRight = try field["rstrip"].bool(default: false)
    isSingleWord = try field["single_word"].bool(default: false)
    isNormalized = try field["normalized"].bool(default: !isSpecial)
  }

  init(special content: String, id: Int) {
    (self.id, self.content, isSpecial) = (id, content, true)
    (stripsLeft, stripsRight, isSingleWord, isNormalized) = (false, false, false, false)
  }
}

/// The added tokens of a document, and how they are found.
struct AddedTokens: Sendable {
  private(set) var list: [AddedToken] = []
  /// The model's tokens and these.
  private(set) var vocabulary: Vocabulary
  /// Special ones, by their content.
  private var special: Set<[UInt8]> = []
  private(set) var specialIDs: Set<Int> = []
  /// What these decode to where normalization changes them.
  private(set) var normalForms: [Int: [UInt8]] = [:]
  /// Tokens to find in the text as it is given.
  private(set) var verbatim = AddedTokenMatcher()
  /// Tokens to find in the normalized text.
  private(set) var normalized = AddedTokenMatcher()

  init(_ field: Field, _ model: any Model, _ normalizers: [any Normalizer]) throws(TokenizerError) {
    vocabulary = model.vocabulary
    var places: [[UInt8]: Int] = [:]
    let modelSize = vocabulary.ids.count
    var nextID = modelSize
    for item in field.isNull ? [] : try field.items() {
      let token = try AddedToken(item)
      let content = Array(token.content.utf8)
      // The library passes over them.
      guard !content.isEmpty else { continue }
      guard content.count <= ByteTrie<AddedToken>.longest else {
        throw item["content"].refusal(
          "\(content.count) bytes are too long for a token: \(ByteTrie<AddedToken>.longest) are the most")
      }
      let name = quoted(token.content)
      if let id = vocabulary.id(of: content) {
        guard id == token.id else { throw item["id"].refusal("\(name) already has the id \(id)") }
      } else {
        if let holder = vocabulary.add(content, id: UInt32(token.id)) {
          throw item["id"].refusal("\(token.id) already belongs to \(quoted(String(decoding: holder, as: UTF8.self)))")
        }
        // The library numbers new tokens itself, one after another, whatever the document says.
        guard token.id == nextID else {
          throw item["id"].refusal("\(name) has the id \(token.id), but the tokenizers library would give it \(nextID)")
        }
        nextID += 1
      }
      // Named twice, the second says how it is found.
      if let place = places[content] {
        list[place] = token
      } else {
        places[content] = list.count
        list.append(token)
      }
      if token.isSpecial { special.insert(content) }
    }
    for token in list { try makeFindable(token, normalizers, field) }
  }

  /// Finds a token of the vocabulary in texts, too, and holds it for special.
  mutating func addSpecial(_ content: String) {
    guard let id = vocabulary.id(of: Array(content.utf8)), !content.isEmpty, content.utf8.count <= ByteTrie<AddedToken>.longest,
      !list.contains(where: { $0.content.utf8.elementsEqual(content.utf8) })
    else { return }
    let token = AddedToken(special: content, id: Int(id))
    list.append(token)
    special.insert(Array(content.utf8))
    specialIDs.insert(token.id)
    _ = verbatim.insert(Array(content.utf8), token)
  }

  private mutating func makeFindable(
    _ token: AddedToken, _ normalizers: [any Normalizer], _ field: Field
  ) throws(TokenizerError) {
    let content = Array(token.content.utf8)
    var other: AddedToken?
    var decoded = content
    if token.isNormalized {
      var text = SourcedText(content)
      normalizers.normalize(&text)
      if text.bytes != content {
        normalForms[token.id] = text.bytes
        decoded = text.bytes
      }
      other = normalized.insert(text.bytes, token)
    } else {
      other = verbatim.insert(content, token)
    }
    if let other {
      throw field.refusal("\(quoted(token.content)) and \(quoted(other.content)) are the same once normalized")
    }
    // The library goes by what a token decodes to.
    if special.contains(decoded) { specialIDs.insert(token.id) }
  }
}
