/// Every scalar in lower case, by itself: a final sigma is none here.
struct Lowercase: Normalizer {
  func normalize(_ text: inout SourcedText) {
    text.rewriteScalars { scalar in
      if scalar.isASCII {
        return scalar.value >= 0x41 && scalar.value <= 0x5A ? .scalar(Unicode.Scalar(UInt8(scalar.value) | 0x20)) : .keep
      }
      if scalar.value == 0x130 { return .pair("i", "\u{307}") }
      guard let lower = UnicodeTables.lowerCases[scalar.value] else { return .keep }
      return .scalar(lower)
    }
  }
}

/// Takes out all marks.
struct StripAccents: Normalizer {
  func normalize(_ text: inout SourcedText) {
    text.rewriteScalars { !$0.isASCII && UnicodeTables.marks.contains($0) ? .drop : .keep }
  }
}

/// What SentencePiece's neural-translation rules do to controls and white space.
struct NMTCleaning: Normalizer {
  func normalize(_ text: inout SourcedText) {
    text.rewriteScalars { scalar in
      switch scalar.value {
      case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: .drop
      case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: .scalar(" ")
      default: .keep
      }
    }
  }
}

/// Takes white space off the ends.
struct Strip: Normalizer {
  let left: Bool
  let right: Bool

  func normalize(_ text: inout SourcedText) {
    let bytes = text.bytes
    let start = left ? bytes.skip(from: 0, to: bytes.count) { $0.isWhiteSpace } : 0
    var end = bytes.count
    while right, end > start {
      let last = bytes.scalar(endingAt: end)
      guard last.value.isWhiteSpace else { break }
      end = last.start
    }
    if start > 0 || end < bytes.count { text = text.slice(start..<end) }
  }
}

/// Puts something before a text that is not empty.
struct Prepend: Normalizer {
  let content: [UInt8]

  var growth: Int { content.count + 1 }

  func normalize(_ text: inout SourcedText) {
    guard !text.isEmpty, !content.isEmpty else { return }
    text.rewrite { text, new in
      new.append(content, from: 0)
      new.copy(0..<text.count)
    }
  }
}

/// Rewrites every byte as the visible character of GPT-2's alphabet.
struct ByteLevelNormalizer: Normalizer {
  func normalize(_ text: inout SourcedText) {
    text.rewrite { text, new in ByteAlphabet.append(0..<text.count, of: text.bytes, to: &new) }
  }
}

/// The steps of BERT's normalizer.
enum BertCleaning: Normalizer {
  /// No controls, and blanks for all white space.
  case cleaning
  /// Blanks around ideographs.
  case ideographs
  /// No nonspacing marks; the text is to be decomposed.
  case marks

  static func steps(_ field: Field) throws(TokenizerError) -> [any Normalizer] {
    let cleans = try field["clean_text"].bool()
    let parts = try field["handle_chinese_chars"].bool()
    let lowers = try field["lowercase"].bool()
    let strips = try field["strip_accents"].bool(default: lowers)
    var steps: [any Normalizer] = []
    if cleans { steps.append(cleaning) }
    if parts { steps.append(ideographs) }
    if strips { steps += [NormalForm.decomposed, marks] as [any Normalizer] }
    if lowers { steps.append(Lowercase()) }
    return steps
  }

  func normalize(_ text: inout SourcedText) {
    switch self {
    case .cleaning:
      text.rewriteScalars { scalar in
        if scalar.value >= 0x20 && scalar.value < 0x7F { return .keep }
        // Two that are controls, too; the tables have them for what goes.
        if scalar == "\t" || scalar == "\n" || scalar == "\r" { return .scalar(" ") }
        return UnicodeTables.controls.contains(scalar) ? .drop : scalar.isWhiteSpace ? .scalar(" ") : .keep
      }
    case .ideographs:
      text.rewriteScalars { Self.isIdeograph($0) ? .spaced : .keep }
    case .marks: text.rewriteScalars { !$0.isASCII && UnicodeTables.nonspacingMarks.contains($0) ? .drop : .keep }
    }
  }

  static func isIdeograph(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x3400 { return false }
    return switch scalar.value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF,
      0xF900...0xFAFF, 0x2F800...0x2FA1F:
      true
    default: false
    }
  }
}
