/// Turns text into ids and back, as a Hugging Face `tokenizer.json` describes.
///
/// Ids are those of the `tokenizers` library. Immutable: one value may serve any number of tasks at once.
public struct Tokenizer: Sendable {
  let normalizers: [any Normalizer]
  let preTokenizers: [any PreTokenizer]
  let model: any Model
  let postProcessors: [any PostProcessor]
  let decoder: Decoder
  /// The model's tokens and the added ones.
  let vocabulary: Vocabulary
  /// The tokens found in the text itself, special ones among them.
  public let addedTokens: [AddedToken]
  let specialIDs: Set<Int>
  /// What added tokens decode to where normalization changes them.
  let normalForms: [Int: [UInt8]]
  /// Tokens to find in the text as it is given.
  let verbatimTokens: AddedTokenMatcher
  /// Tokens to find in the normalized text.
  let normalizedTokens: AddedTokenMatcher
}

extension Tokenizer {
  /// One more than the highest id: the rows an embedding needs.
  public var vocabularySize: Int { vocabulary.highestID.map { Int($0) + 1 } ?? 0 }

  public func id(of token: String) -> Int? { vocabulary.id(of: Array(token.utf8)).map(Int.init) }

  /// The token as the vocabulary spells it (byte-level tokens in their alphabet), `nil` for an unknown id.
  public func token(of id: Int) -> String? { vocabulary.token(of: id).map { String(decoding: $0, as: UTF8.self) } }

  public func isSpecial(_ id: Int) -> Bool { specialIDs.contains(id) }

  /// The ids of a text.
  ///
  /// Special tokens written out in the text are found in any case; `addSpecialTokens` is about those that the post
  /// processor puts around it.
  public func encode(_ text: String, addSpecialTokens: Bool = true) -> [Int] {
    var ids: [Int] = []
    var cache = WordCache()
    let bytes = Array(text.utf8)
    for segment in verbatimTokens.split(bytes) {
      switch segment {
      case .token(let id): ids.append(id)
      case .text(let range): encode(normalizing: Array(bytes[range]), into: &ids, cache: &cache)
      }
    }
    if addSpecialTokens {
      for processor in postProcessors { ids = processor.process(ids) }
    }
    return ids
  }

  private func encode(normalizing text: [UInt8], into ids: inout [Int], cache: inout WordCache) {
    var normalized = text
    for normalizer in normalizers { normalizer.normalize(&normalized) }
    for segment in normalizedTokens.split(normalized) {
      switch segment {
      case .token(let id): ids.append(id)
      case .text(let range):
        var text = PreTokenizedText(Array(normalized[range]))
        for preTokenizer in preTokenizers { preTokenizer.apply(to: &text) }
        for word in text.words {
          cache.append(word, of: text.bytes, to: &ids) { word, ids in model.encode(word, into: &ids) }
        }
      }
    }
  }

  /// The text of the ids; unknown ones are passed over, and bytes that are no UTF-8 become U+FFFD.
  public func decode(_ ids: [Int], skipSpecialTokens: Bool = true) -> String {
    var bytes: [UInt8] = []
    var isFirst = true
    for id in ids {
      guard let more = self.bytes(of: id, skipSpecialTokens: skipSpecialTokens, isFirst: isFirst) else { continue }
      bytes += more
      isFirst = false
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  public func streamingDecoder(skipSpecialTokens: Bool = true) -> TokenStream {
    TokenStream(self, skipSpecialTokens: skipSpecialTokens)
  }

  /// What an id adds to a decoded text, `nil` for nothing at all.
  func bytes(of id: Int, skipSpecialTokens: Bool, isFirst: Bool) -> [UInt8]? {
    guard let token = vocabulary.token(of: id), !(skipSpecialTokens && isSpecial(id)) else { return nil }
    return decoder.bytes(of: normalForms[id] ?? token, isFirst: isFirst)
  }
}
