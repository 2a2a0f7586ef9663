/// Turns text into ids and back, as a Hugging Face `tokenizer.json` describes.
///
/// Ids are those of the `tokenizers` library. Immutable but for a memory of words, which no result depends on: one value
/// may serve any number of tasks at once.
public struct Tokenizer: Sendable {
  let normalizers: [any Normalizer]
  let preTokenizers: [any PreTokenizer]
  let model: any Model
  let postProcessors: [any PostProcessor]
  let decoder: [DecoderStep]
  var added: AddedTokens
  let memory = WordMemory()
  /// What the document says of cutting; `encode` leaves it aside, `encoding` takes it on request.
  public let truncation: Truncation?
  /// What the document says of padding; `encode` leaves it aside, `encodings` takes it on request.
  public let padding: Padding?
}

extension Tokenizer {
  /// One more than the highest id: the rows an embedding needs.
  public var vocabularySize: Int { added.vocabulary.highestID.map { Int($0) + 1 } ?? 0 }

  /// The tokens found in the text itself, special ones among them.
  public var addedTokens: [AddedToken] { added.list }

  public func id(of token: String) -> Int? { added.vocabulary.id(of: Array(token.utf8)).map(Int.init) }

  /// The token as the vocabulary spells it (byte-level tokens in their alphabet), `nil` for an unknown id.
  public func token(of id: Int) -> String? { added.vocabulary.token(of: id).map { String(decoding: $0, as: UTF8.self) } }

  public func isSpecial(_ id: Int) -> Bool { added.specialIDs.contains(id) }

  /// The ids of a text.
  ///
  /// Special tokens written out in the text are found in any case; `addSpecialTokens` is about those that the post
  /// processor puts around it.
  public func encode(_ text: String, addSpecialTokens: Bool = true) -> [Int] {
    let made = made(of: Array(text.utf8), isTraced: false)
    guard addSpecialTokens, !postProcessors.isEmpty else { return made.ids }
    return process([EncodedSequence(ids: made.ids, type: 0)], addsSpecialTokens: true).ids
  }

  /// The text of the ids; unknown ones are passed over, and bytes that are no UTF-8 become U+FFFD.
  public func decode(_ ids: [Int], skipSpecialTokens: Bool = true) -> String {
    var decoding = Decoding(decoder)
    var text: [UInt8] = []
    for id in ids {
      if let token = decodedToken(id, skipSpecialTokens: skipSpecialTokens) { decoding.append(token, to: &text) }
    }
    decoding.finish(&text)
    return String(decoding: text, as: UTF8.self)
  }

  public func streamingDecoder(skipSpecialTokens: Bool = true) -> TokenStream {
    TokenStream(self, skipSpecialTokens: skipSpecialTokens)
  }

  /// What an id puts into the decoder, `nil` for nothing at all.
  func decodedToken(_ id: Int, skipSpecialTokens: Bool) -> [UInt8]? {
    guard let token = added.vocabulary.token(of: id), !(skipSpecialTokens && isSpecial(id)) else { return nil }
    return added.normalForms[id] ?? token
  }
}

/// The way from text to ids.
extension Tokenizer {
  /// The ids of one text, without those that are put around it.
  ///
  /// - Parameter isTraced: whether the bytes that each id was made of are wanted, too.
  func sequence(of text: [UInt8], type: Int, isTraced: Bool) -> EncodedSequence {
    let made = made(of: text, isTraced: isTraced)
    return EncodedSequence(ids: made.ids, type: type, places: isTraced ? made.places : nil)
  }

  private func made(of text: [UInt8], isTraced: Bool) -> Made {
    var made = Made(text: text, isTraced: isTraced)
    var cache = memory.take()
    defer { memory.giveBack(cache) }
    let needsPlaces = isTraced || preTokenizers.contains(where: \.needsPlaces)
    for segment in added.verbatim.split(text) {
      switch segment {
      case .token(let id, let range): made.append(id, range)
      case .text(let range):
        var text = SourcedText(Array(text[range]), start: range.lowerBound, isTraced: needsPlaces)
        normalizers.normalize(&text)
        for segment in added.normalized.split(text.bytes) {
          switch segment {
          case .token(let id, let range): made.append(id, made.source(of: range, in: text))
          case .text(let range): append(text.slice(range), to: &made, &cache)
          }
        }
      }
    }
    return made
  }

  private func append(_ text: SourcedText, to made: inout Made, _ cache: inout WordCache) {
    var text = PreTokenizedText(text)
    for preTokenizer in preTokenizers { preTokenizer.apply(to: &text) }
    for word in text.words {
      let count = made.ids.count
      cache.append(word, of: text.bytes, to: &made.ids, from: model)
      if made.isTraced {
        var start = word.lowerBound
        for length in model.lengths(of: made.ids[count...], in: text.bytes[word]) {
          let end = min(start + max(length, 0), word.upperBound)
          made.places.append(made.source(of: start..<end, in: text.text))
          start = end
        }
      }
    }
  }

  func process(_ sequences: [EncodedSequence], addsSpecialTokens: Bool) -> EncodedSequence {
    var sequences = sequences
    for processor in postProcessors { sequences = processor.process(sequences, addsSpecialTokens: addsSpecialTokens) }
    guard let first = sequences.first else { return EncodedSequence(ids: [], type: 0) }
    return sequences.dropFirst().reduce(first, +)
  }
}

/// What has been made of a text so far.
private struct Made {
  let text: [UInt8]
  let isTraced: Bool
  var ids: [Int] = []
  var places: [Range<Int>?] = []

  init(text: [UInt8], isTraced: Bool) { (self.text, self.isTraced) = (text, isTraced) }

  mutating func append(_ id: Int, _ source: Range<Int>?) {
    ids.append(id)
    if isTraced { places.append(source) }
  }

  /// The characters of the text that a part of a rewritten one was made of.
  func source(of range: Range<Int>, in rewritten: SourcedText) -> Range<Int>? {
    guard isTraced, !range.isEmpty else { return nil }
    var start = rewritten.place(of: range.lowerBound)
    var end = rewritten.place(of: range.upperBound - 1) + 1
    while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
    while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
    return start..<max(start, end)
  }
}
