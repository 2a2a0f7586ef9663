/// A set of scalars: pages of 256 that are all in, all out, or spelled out in bits.
struct ScalarSet: Sendable {
  private var pages = [UInt16](repeating: 0, count: 0x1100)
  /// Four words to a page.
  private var bits: [UInt64] = [0, 0, 0, 0]

  mutating func insert(_ range: Range<UInt32>) {
    for scalar in range {
      let page = Int(scalar >> 8)
      if pages[page] == 0 {
        pages[page] = UInt16(bits.count / 4)
        bits += [0, 0, 0, 0]
      }
      bits[Int(pages[page]) * 4 + Int(scalar >> 6 & 3)] |= 1 << UInt64(scalar & 63)
    }
  }

  func contains(_ scalar: Unicode.Scalar) -> Bool {
    let page = Int(pages[Int(scalar.value >> 8)])
    return bits[page * 4 + Int(scalar.value >> 6 & 3)] >> UInt64(scalar.value & 63) & 1 == 1
  }
}

/// What the `tokenizers` library knows of Unicode, each part unpacked on first use.
enum UnicodeTables {
  static let letters = PackedUnicode.set(PackedUnicode.letters)
  static let numbers = PackedUnicode.set(PackedUnicode.numbers)
  static let controls = PackedUnicode.set(PackedUnicode.controls)
  static let nonspacingMarks = PackedUnicode.set(PackedUnicode.nonspacingMarks)
  static let marks = PackedUnicode.set(PackedUnicode.marks)
  static let punctuation = PackedUnicode.set(PackedUnicode.punctuation)
  static let lowerCases = PackedUnicode.mapping(PackedUnicode.lowerCases)
  static let normalForms = NormalFormTables()
}

/// What normal forms are made by.
final class NormalFormTables: Sendable {
  struct Decomposition: Sendable {
    var parts: [UInt32]
    var isCompatible: Bool
  }

  /// The scalars that have a decomposition.
  let decomposing: ScalarSet
  /// One step; the parts may have decompositions of their own.
  let decompositions: [UInt32: Decomposition]
  /// Two scalars, the first above, to the one they compose to.
  let compositions: [UInt64: UInt32]
  /// The scalars that may join the one before them, Hangul's aside.
  let joining: ScalarSet
  /// The scalars of another combining class than 0, and their classes.
  let moving: ScalarSet
  let combiningClasses: [UInt32: UInt8]

  fileprivate init() {
    var (moving, classes) = (ScalarSet(), [UInt32: UInt8]())
    for words in PackedUnicode.words(PackedUnicode.combiningClasses) {
      let parts = words.split(separator: UInt8(ascii: ":"))
      PackedUnicode.ranges(parts[1].split(separator: UInt8(ascii: ";"))) { range in
        moving.insert(range)
        for scalar in range { classes[scalar] = UInt8(PackedUnicode.number(parts[0])) }
      }
    }
    (self.moving, combiningClasses) = (moving, classes)

    var (decomposing, joining) = (ScalarSet(), ScalarSet())
    var decompositions: [UInt32: Decomposition] = [:]
    var compositions: [UInt64: UInt32] = [:]
    var end: UInt32 = 0
    for word in PackedUnicode.words(PackedUnicode.decompositions) {
      let comma = word.firstIndex(of: UInt8(ascii: ","))!
      var rest = word[(comma + 1)...]
      let start = end + PackedUnicode.number(word[..<comma])
      let isCompatible = rest.first == UInt8(ascii: "~")
      let isExcluded = rest.first == UInt8(ascii: "!")
      if isCompatible || isExcluded { rest = rest.dropFirst() }
      var count: UInt32 = 1
      if let star = rest.firstIndex(of: UInt8(ascii: "*")) {
        count = PackedUnicode.number(rest[..<star])
        rest = rest[(star + 1)...]
      }
      let parts = rest.split(separator: UInt8(ascii: ".")).map(PackedUnicode.number)
      end = start + count
      decomposing.insert(start..<end)
      for i in 0..<count {
        decompositions[start + i] = Decomposition(parts: parts.map { $0 + i }, isCompatible: isCompatible)
      }
      if parts.count == 2, !isCompatible, !isExcluded {
        compositions[UInt64(parts[0]) << 32 | UInt64(parts[1])] = start
        joining.insert(parts[1]..<parts[1] + 1)
      }
    }
    (self.decomposing, self.decompositions) = (decomposing, decompositions)
    (self.joining, self.compositions) = (joining, compositions)
  }
}

/// Reading the packed form, which is our own: its maker says how it is written.
extension PackedUnicode {
  fileprivate static func words(_ text: String) -> [ArraySlice<UInt8>] {
    Array(text.utf8).split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
  }

  fileprivate static func number(_ digits: ArraySlice<UInt8>) -> UInt32 {
    digits.reduce(0) { $0 * 36 + UInt32($1 < 0x3A ? $1 - 0x30 : $1 - 0x61 + 10) }
  }

  fileprivate static func ranges(_ words: [ArraySlice<UInt8>], _ body: (Range<UInt32>) -> Void) {
    var end: UInt32 = 0
    for word in words {
      let parts = word.split(separator: UInt8(ascii: ",")).map(number)
      let start = end + parts[0]
      end = start + parts[1]
      body(start..<end)
    }
  }

  fileprivate static func set(_ text: String) -> ScalarSet {
    var set = ScalarSet()
    ranges(words(text)) { set.insert($0) }
    return set
  }

  fileprivate static func mapping(_ text: String) -> [UInt32: Unicode.Scalar] {
    var found: [UInt32: Unicode.Scalar] = [:]
    var end: UInt32 = 0
    for word in words(text) {
      let parts = word.split(separator: UInt8(ascii: ",")).map(number)
      let (start, count, step, first) = (end + parts[0], parts[1], parts[2], parts[3])
      for i in 0..<count { found[start + i * step] = Unicode.Scalar(first + i * step) }
      end = start + (count - 1) * step + 1
    }
    return found
  }
}
