/// Text on its way from what was given to words, together with where in the text its bytes came from.
///
/// The normalizers and pre-tokenizers rewrite it by `rewrite`, which keeps book of the places; only who asks for them
/// (`isTraced`) pays for that.
struct SourcedText {
  private(set) var bytes: [UInt8]
  let isTraced: Bool
  /// For every byte the offset, in the given text, of the character it was made of; `nil` while nothing was rewritten.
  private var places: [Int]?
  /// Where the first byte stood, while nothing was rewritten.
  private var start: Int

  init(_ bytes: [UInt8], start: Int = 0, isTraced: Bool = false) {
    (self.bytes, self.start, self.isTraced) = (bytes, start, isTraced)
  }

  var count: Int { bytes.count }
  var isEmpty: Bool { bytes.isEmpty }

  /// The offset in the given text that a byte came from. Meaningless unless traced.
  func place(of index: Int) -> Int { places?[index] ?? start + index }

  func slice(_ range: Range<Int>) -> SourcedText {
    if range == 0..<bytes.count { return self }
    var slice = SourcedText(Array(bytes[range]), start: start + range.lowerBound, isTraced: isTraced)
    slice.places = places.map { Array($0[range]) }
    return slice
  }

  /// Builds the text anew out of pieces of itself and of what is put in.
  mutating func rewrite(_ body: (SourcedText, inout Rewriting) -> Void) {
    var rewriting = Rewriting(self)
    body(self, &rewriting)
    bytes = rewriting.bytes
    if isTraced { places = rewriting.places }
  }

  /// Rewrites scalar by scalar, from the first that is not kept.
  mutating func rewriteScalars(_ changed: (Unicode.Scalar) -> ScalarChange) {
    var first = 0
    while first < bytes.count {
      let scalar = bytes.scalar(at: first)
      if case .keep = changed(scalar.value) { first = scalar.end } else { break }
    }
    guard first < bytes.count else { return }
    rewrite { text, new in
      var kept = 0
      var at = first
      while at < text.count {
        let scalar = text.bytes.scalar(at: at)
        let change = changed(scalar.value)
        if case .keep = change {
          at = scalar.end
          continue
        }
        new.copy(kept..<at)
        switch change {
        case .keep, .drop: break
        case .scalar(let value): new.append(value, from: at)
        case .pair(let first, let second):
          new.append(first, from: at)
          new.append(second, from: at)
        case .spaced:
          new.append(" ", from: at)
          new.append(scalar.value, from: at)
          new.append(" ", from: at)
        }
        at = scalar.end
        kept = at
      }
      new.copy(kept..<text.count)
    }
  }
}

/// What becomes of a scalar.
enum ScalarChange {
  case keep
  case drop
  case scalar(Unicode.Scalar)
  case pair(Unicode.Scalar, Unicode.Scalar)
  /// Kept, between blanks.
  case spaced
}

/// A text in the making.
struct Rewriting {
  private let old: SourcedText
  fileprivate(set) var bytes: [UInt8] = []
  fileprivate var places: [Int] = []

  fileprivate init(_ old: SourcedText) {
    self.old = old
    bytes.reserveCapacity(old.count + old.count / 4)
  }

  var count: Int { bytes.count }

  /// Takes over a part of the old text.
  mutating func copy(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    bytes += old.bytes[range]
    if old.isTraced { for index in range { places.append(old.place(of: index)) } }
  }

  /// Puts in bytes that are made of the old text's character at an offset.
  mutating func append(_ new: some Collection<UInt8>, from index: Int) {
    bytes += new
    keepPlaces(from: index)
  }

  mutating func append(_ scalar: Unicode.Scalar, from index: Int) {
    scalar.appendUTF8(to: &bytes)
    keepPlaces(from: index)
  }

  mutating func append(_ byte: UInt8, from index: Int) {
    bytes.append(byte)
    keepPlaces(from: index)
  }

  private mutating func keepPlaces(from index: Int) {
    guard old.isTraced else { return }
    let place = old.place(of: index)
    while places.count < bytes.count { places.append(place) }
  }
}

extension Unicode.Scalar {
  func appendUTF8(to bytes: inout [UInt8]) {
    if value < 0x80 {
      bytes.append(UInt8(value))
    } else {
      bytes += UTF8.encode(self)!
    }
  }
}
