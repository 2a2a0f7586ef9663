/// Decodes ids one by one, as a model makes them: a character is given out once all of its bytes are there.
///
/// What `append` and `finish` return, put together, is what `Tokenizer.decode` gives for all the ids.
public struct TokenStream: Sendable {
  private let tokenizer: Tokenizer
  private let skipSpecialTokens: Bool
  private var pending: [UInt8] = []
  private var isFirst = true

  init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool) {
    self.tokenizer = tokenizer
    self.skipSpecialTokens = skipSpecialTokens
  }

  /// The text that this id completes, often empty in the middle of a character; an unknown id adds nothing.
  public mutating func append(_ id: Int) -> String {
    guard let bytes = tokenizer.bytes(of: id, skipSpecialTokens: skipSpecialTokens, isFirst: isFirst) else { return "" }
    isFirst = false
    pending += bytes
    let end = pending.count - incompleteSuffix()
    let text = String(decoding: pending[..<end], as: UTF8.self)
    pending.removeFirst(end)
    return text
  }

  /// What is left: U+FFFD for a character that was never completed, nothing otherwise.
  public mutating func finish() -> String {
    defer {
      pending = []
      isFirst = true
    }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end begin a character that more bytes could complete.
  private func incompleteSuffix() -> Int {
    for count in 1...3 where count <= pending.count {
      let lead = pending[pending.count - count]
      if lead & 0xC0 == 0x80 { continue }
      let length =
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
      guard length > count else { return 0 }
      // Some second bytes make an overlong form or a surrogate: nothing can complete those.
      if count > 1 {
        let second = pending[pending.count - count + 1]
        switch (lead, second) {
        case (0xE0, ..<0xA0), (0xED, 0xA0...), (0xF0, ..<0x90), (0xF4, 0x90...): return 0
        default: break
        }
      }
      return count
    }
    return 0
  }
}
