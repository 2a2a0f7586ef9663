/// What the characters of a word are to a BPE model before it joins any: tokens, which may carry a mark for not being
/// the word's first character, or for being its last.
struct CharacterTokens: Sendable {
  let prefix: [UInt8]
  private let suffix: [UInt8]
  /// By whether the character is the first of its word, and the last; all one without prefix and suffix.
  private let inner: IntegerTable
  private let first: IntegerTable
  private let last: IntegerTable
  private let only: IntegerTable
  /// The tokens of the 256 bytes, as far as there are any; empty unless a character may be spelled by them.
  private var bytes: [UInt32?] = []
  private var byteIDs: Set<UInt32> = []

  init(_ field: Field, _ vocabulary: Vocabulary) throws(TokenizerError) {
    func affix(_ key: String) throws(TokenizerError) -> [UInt8] {
      field[key].isNull ? [] : Array(try field[key].string().utf8)
    }
    prefix = try affix("continuing_subword_prefix")
    suffix = try affix("end_of_word_suffix")
    inner = Self.table(vocabulary, prefix: prefix, suffix: [])
    first = prefix.isEmpty ? inner : Self.table(vocabulary, prefix: [], suffix: [])
    last = suffix.isEmpty ? inner : Self.table(vocabulary, prefix: prefix, suffix: suffix)
    only = suffix.isEmpty ? first : prefix.isEmpty ? last : Self.table(vocabulary, prefix: [], suffix: suffix)
    guard try field["byte_fallback"].bool(default: false) else { return }
    for byte in 0...0xFF as ClosedRange<UInt8> {
      let digits = String(byte, radix: 16, uppercase: true)
      let id = vocabulary.id(of: Array("<0x\(byte < 16 ? "0" : "")\(digits)>".utf8))
      bytes.append(id)
      if let id { byteIDs.insert(id) }
    }
  }

  private static func table(_ vocabulary: Vocabulary, prefix: [UInt8], suffix: [UInt8]) -> IntegerTable {
    var table = IntegerTable()
    for (token, id) in vocabulary.ids where token.count > prefix.count + suffix.count {
      let start = prefix.count
      let lead = token[start]
      let length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
      guard start + length == token.count - suffix.count, lead & 0xC0 != 0x80, token.starts(with: prefix),
        token[(start + length)...].elementsEqual(suffix)
      else { continue }
      table[UInt64(token.scalar(at: start).value.value)] = UInt64(id)
    }
    return table
  }

  func id(of scalar: Unicode.Scalar, isFirst: Bool, isLast: Bool) -> UInt32? {
    let key = UInt64(scalar.value)
    let id =
      switch (isFirst, isLast) {
      case (false, false): inner[key]
      case (true, false): first[key]
      case (false, true): last[key]
      case (true, true): only[key]
      }
    return id == IntegerTable.none ? nil : UInt32(id)
  }

  /// Appends the tokens of a character's bytes, its marks included, if all of them are in the vocabulary.
  func appendBytes(of character: ArraySlice<UInt8>, isFirst: Bool, isLast: Bool, to symbols: inout [UInt32]) -> Bool {
    guard !bytes.isEmpty else { return false }
    let count = symbols.count
    for byte in (isFirst ? [] : prefix) + character + (isLast ? suffix : []) {
      guard let id = bytes[Int(byte)] else {
        symbols.removeLast(symbols.count - count)
        return false
      }
      symbols.append(id)
    }
    return true
  }

  func isByte(_ id: Int) -> Bool { UInt32(exactly: id).map(byteIDs.contains) ?? false }

  /// How many bytes of the word a token stands for.
  func bareLength(of token: [UInt8], isFirst: Bool, isLast: Bool) -> Int {
    token.count - (isFirst ? 0 : prefix.count) - (isLast ? suffix.count : 0)
  }
}
