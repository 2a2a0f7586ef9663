/// SentencePiece's way with blanks: a visible character instead of each, and before the first word.
struct Metaspace: PreTokenizer {
  enum Prepending: String {
    /// Before every word that has none.
    case always
    /// Before the text's first word.
    case first
    case never

    init(_ field: Field) throws(TokenizerError) {
      let scheme = field["prepend_scheme"]
      let name = scheme.isNull ? "always" : try scheme.string()
      guard var prepending = Prepending(rawValue: name) else { throw scheme.refusal("\(quoted(name)) is not supported") }
      // From before the scheme existed.
      if try !field["add_prefix_space"].bool(default: true) {
        guard scheme.isNull || prepending == .never else {
          throw field["add_prefix_space"].refusal("false contradicts the prepend_scheme \(quoted(name))")
        }
        prepending = .never
      }
      self = prepending
    }
  }

  let replacement: [UInt8]
  let prepending: Prepending
  /// Cuts before every replacement character.
  let splits: Bool

  init(_ field: Field) throws(TokenizerError) {
    replacement = Array(String(try field["replacement"].scalar()).utf8)
    prepending = try Prepending(field)
    splits = try field["split"].bool(default: true)
  }

  var growth: Int { 2 * replacement.count }
  var needsPlaces: Bool { prepending == .first }

  func apply(to text: inout PreTokenizedText) {
    text.rewrite { text, word, new in
      let bytes = text.bytes
      let first = bytes[word.lowerBound]
      let isMarked = first == 0x20 || bytes[word].starts(with: replacement)
      if !isMarked, prepending == .always || (prepending == .first && text.place(of: word.lowerBound) == 0) {
        new.append(replacement, from: word.lowerBound)
      }
      var copied = word.lowerBound
      for at in word where bytes[at] == 0x20 {
        new.copy(copied..<at)
        new.append(replacement, from: at)
        copied = at + 1
      }
      new.copy(copied..<word.upperBound)
    }
    guard splits else { return }
    // A replacement character leads the piece that it begins.
    text.cut { bytes, start, end in
      var at = start
      repeat { at += 1 } while at < end && !(bytes[at] == replacement[0] && bytes[at..<end].starts(with: replacement))
      return at
    }
  }
}
