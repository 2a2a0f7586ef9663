/// Unicode's normal forms, as of Unicode 9: that is what the `tokenizers` library decomposes and composes by.
enum NormalForm: Normalizer, CaseIterable {
  case composed
  case decomposed
  case compatiblyComposed
  case compatiblyDecomposed

  private var composes: Bool { self == .composed || self == .compatiblyComposed }
  private var isCompatible: Bool { self == .compatiblyComposed || self == .compatiblyDecomposed }

  /// U+FDFA is three bytes that stand for eighteen characters.
  var growth: Int { isCompatible ? 11 : 3 }

  func normalize(_ text: inout SourcedText) {
    guard let first = firstActive(in: text.bytes, from: 0) else { return }
    text.rewrite { text, new in
      let bytes = text.bytes
      var copied = 0
      var next: Int? = first
      while let at = next {
        var start = at
        // What is left as it is may still be joined by what follows.
        if composes, at > copied { start = bytes.scalar(endingAt: at).start }
        let end = bytes.skip(from: at, to: bytes.count, while: isActive)
        new.copy(copied..<start)
        for scalar in normalized(bytes, start..<end) { new.append(Unicode.Scalar(scalar) ?? "\u{FFFD}", from: start) }
        copied = end
        next = firstActive(in: bytes, from: end)
      }
      new.copy(copied..<bytes.count)
    }
  }

  private func firstActive(in bytes: [UInt8], from start: Int) -> Int? {
    var at = start
    while at < bytes.count {
      // Nothing below U+00A0 takes part.
      if bytes[at] < 0xC2 {
        at += 1
        continue
      }
      let scalar = bytes.scalar(at: at)
      if isActive(scalar.value) { return at }
      at = scalar.end
    }
    return nil
  }

  /// Whether a scalar may change, move, or join what stands before it.
  private func isActive(_ scalar: Unicode.Scalar) -> Bool {
    guard scalar.value >= 0xA0 else { return false }
    let tables = UnicodeTables.normalForms
    if tables.moving.contains(scalar) { return true }
    if Hangul.syllables.contains(scalar.value) { return !composes }
    if tables.decomposing.contains(scalar) {
      return isCompatible || tables.decompositions[scalar.value]?.isCompatible == false
    }
    return composes && (tables.joining.contains(scalar) || Hangul.joins(scalar.value))
  }

  private func normalized(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt32] {
    let tables = UnicodeTables.normalForms
    var scalars: [UInt32] = []
    var at = range.lowerBound
    while at < range.upperBound {
      let scalar = bytes.scalar(at: at)
      decompose(scalar.value.value, tables, into: &scalars)
      at = scalar.end
    }
    reorder(&scalars, tables)
    return composes ? compose(scalars, tables) : scalars
  }

  private func decompose(_ scalar: UInt32, _ tables: NormalFormTables, into result: inout [UInt32]) {
    if Hangul.syllables.contains(scalar) {
      Hangul.decompose(scalar, into: &result)
    } else if let step = tables.decompositions[scalar], isCompatible || !step.isCompatible {
      for part in step.parts { decompose(part, tables, into: &result) }
    } else {
      result.append(scalar)
    }
  }

  /// Sorts every run of marks by combining class, marks of one class staying in their order.
  private func reorder(_ scalars: inout [UInt32], _ tables: NormalFormTables) {
    let classes = scalars.map { tables.combiningClasses[$0] ?? 0 }
    var start = 0
    while start < scalars.count {
      guard classes[start] != 0 else {
        start += 1
        continue
      }
      var end = start + 1
      while end < scalars.count, classes[end] != 0 { end += 1 }
      let sorted = (start..<end).sorted { (classes[$0], $0) < (classes[$1], $1) }
      if !sorted.elementsEqual(start..<end) { scalars.replaceSubrange(start..<end, with: sorted.map { scalars[$0] }) }
      start = end
    }
  }

  private func compose(_ scalars: [UInt32], _ tables: NormalFormTables) -> [UInt32] {
    var result: [UInt32] = []
    result.reserveCapacity(scalars.count)
    var starter: Int?
    /// The class of the scalar before, where that stands between the starter and the next one.
    var last: UInt8?
    for scalar in scalars {
      let kind = tables.combiningClasses[scalar] ?? 0
      if let at = starter, last.map({ $0 < kind }) ?? true, let joined = Self.join(result[at], scalar, tables) {
        result[at] = joined
        continue
      }
      if kind == 0 {
        starter = result.count
        last = nil
      } else {
        last = kind
      }
      result.append(scalar)
    }
    return result
  }

  private static func join(_ first: UInt32, _ second: UInt32, _ tables: NormalFormTables) -> UInt32? {
    Hangul.compose(first, second) ?? tables.compositions[UInt64(first) << 32 | UInt64(second)]
  }
}

/// Hangul's syllables, whose decompositions are reckoned, not listed.
enum Hangul {
  static let syllables: Range<UInt32> = 0xAC00..<0xD7A4
  private static let (leads, vowels, trails): (UInt32, UInt32, UInt32) = (0x1100, 0x1161, 0x11A7)

  /// Whether a scalar may join the syllable, or the lead, before it.
  static func joins(_ scalar: UInt32) -> Bool {
    (vowels..<vowels + 21).contains(scalar) || (trails + 1..<trails + 28).contains(scalar)
  }

  static func decompose(_ syllable: UInt32, into result: inout [UInt32]) {
    let index = syllable - syllables.lowerBound
    result.append(leads + index / 588)
    result.append(vowels + index % 588 / 28)
    if index % 28 != 0 { result.append(trails + index % 28) }
  }

  static func compose(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if (leads..<leads + 19).contains(first), (vowels..<vowels + 21).contains(second) {
      return syllables.lowerBound + ((first - leads) * 21 + second - vowels) * 28
    }
    guard syllables.contains(first), (first - syllables.lowerBound) % 28 == 0, (trails + 1..<trails + 28).contains(second) else {
      return nil
    }
    return first + second - trails
  }
}
