/// Decodes ids one by one, as a model makes them: text is given out once what follows cannot change it.
///
/// What `append` and `finish` return, put together, is what `Tokenizer.decode` gives for all the ids.
public struct TokenStream: Sendable {
  private let tokenizer: Tokenizer
  private let skipSpecialTokens: Bool
  private var decoding: Decoding

  init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool) {
    self.tokenizer = tokenizer
    self.skipSpecialTokens = skipSpecialTokens
    decoding = Decoding(tokenizer.decoder)
  }

  /// The text that this id completes, often empty in the middle of a character; an unknown id adds nothing.
  public mutating func append(_ id: Int) -> String {
    guard let token = tokenizer.decodedToken(id, skipSpecialTokens: skipSpecialTokens) else { return "" }
    var text: [UInt8] = []
    decoding.append(token, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// What is left: for a character that was never completed U+FFFD, mostly nothing.
  public mutating func finish() -> String {
    var text: [UInt8] = []
    decoding.finish(&text)
    decoding = Decoding(tokenizer.decoder)
    return String(decoding: text, as: UTF8.self)
  }
}
