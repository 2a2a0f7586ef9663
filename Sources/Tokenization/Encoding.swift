/// A text, or two, as a model takes them.
public struct Encoding: Sendable, Equatable {
  public var ids: [Int]
  /// The segment of each id: 0 for the first text, mostly 1 for the second.
  public var typeIDs: [Int]
  /// 1 for an id, 0 for padding.
  public var attentionMask: [Int]
  /// 1 for what was put around the texts, and for padding.
  public var specialTokensMask: [Int]

  init(_ sequence: EncodedSequence) {
    ids = sequence.ids
    typeIDs = sequence.types
    attentionMask = Array(repeating: 1, count: sequence.ids.count)
    specialTokensMask = sequence.isSpecial.map { $0 ? 1 : 0 }
  }
}

/// The ids of a text that was given in parts, and where they come from.
public struct PartedEncoding: Sendable, Equatable {
  public var ids: [Int]
  /// For every id the parts, by their index, that hold characters it was made of: one part, or several where a token
  /// lies across a seam; `nil` for what was put around the text.
  public var parts: [ClosedRange<Int>?]
}

extension Tokenizer {
  /// The ids of a text, or of two put together, with what a model wants to know beside them.
  ///
  /// - Parameters:
  ///   - pair: A second text.
  ///   - addSpecialTokens: Whether the document's post-processor puts its tokens around.
  ///   - truncation: How to cut what is too long, tokens put around included; `tokenizer.truncation` for the document's
  ///     own way.
  ///   - padding: What to fill up with; to the longest means, for one encoding, to a multiple at most.
  /// - Throws: for a text that cannot be cut as asked, and for a pair where the document has no template for one.
  public func encoding(
    of text: String, pair: String? = nil, addSpecialTokens: Bool = true, truncation: Truncation? = nil, padding: Padding? = nil
  ) throws(TokenizerError) -> Encoding {
    var sequences = [sequence(of: Array(text.utf8), type: 0, isTraced: false)]
    if let pair {
      guard postProcessors.allSatisfy(\.takesPairs) else {
        throw TokenizerError(path: "post_processor.pair", message: "there is none, and so no way to put two texts together")
      }
      sequences.append(sequence(of: Array(pair.utf8), type: 1, isTraced: false))
    }
    if let truncation {
      let added = addSpecialTokens ? postProcessors.reduce(0) { $0 + $1.addedTokens(isPair: pair != nil) } : 0
      try truncation.cut(&sequences, addedTokens: added)
    }
    var encodings = [Encoding(process(sequences, addsSpecialTokens: addSpecialTokens))]
    try padding?.pad(&encodings)
    return encodings[0]
  }

  /// The encodings of texts, padded to a common length if `padding` says so.
  ///
  /// - Parameter pairs: As many second texts, or none.
  public func encodings(
    of texts: [String], pairs: [String] = [], addSpecialTokens: Bool = true, truncation: Truncation? = nil,
    padding: Padding? = nil
  ) throws(TokenizerError) -> [Encoding] {
    guard pairs.isEmpty || pairs.count == texts.count else {
      throw TokenizerError(path: "", message: "\(pairs.count) second texts for \(texts.count) first ones")
    }
    var encodings: [Encoding] = []
    for (i, text) in texts.enumerated() {
      encodings.append(
        try encoding(
          of: text, pair: pairs.isEmpty ? nil : pairs[i], addSpecialTokens: addSpecialTokens, truncation: truncation))
    }
    try padding?.pad(&encodings)
    return encodings
  }

  /// The ids of a text given in parts, and the parts that each was made of: a chat's turns, say, of which only some are
  /// to be learned.
  ///
  /// The ids are those of `encode(parts.joined())`, whatever the parts: a token may lie across a seam, and then has
  /// more than one part to its name. What a character was rewritten to (lower case, a composed letter, the bytes of an
  /// unknown character) counts as that character; what the tokenizer puts before a word (the `▁` of a first word, a
  /// prefixed blank) counts as the word's first character.
  public func encode(parts: [String], addSpecialTokens: Bool = true) -> PartedEncoding {
    var ends: [Int] = []
    var text: [UInt8] = []
    for part in parts {
      text += part.utf8
      ends.append(text.count)
    }
    let sequence = process([sequence(of: text, type: 0, isTraced: true)], addsSpecialTokens: addSpecialTokens)
    /// The part that holds a byte: the first that ends beyond it.
    func part(of place: Int) -> Int {
      var (low, high) = (0, ends.count)
      while low < high {
        let middle = (low + high) / 2
        if ends[middle] <= place { low = middle + 1 } else { high = middle }
      }
      return low
    }
    let found = sequence.places.map { range -> ClosedRange<Int>? in
      guard let range, !range.isEmpty else { return nil }
      return part(of: range.lowerBound)...part(of: range.upperBound - 1)
    }
    return PartedEncoding(ids: sequence.ids, parts: found)
  }
}
