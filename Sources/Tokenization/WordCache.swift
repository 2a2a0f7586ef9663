/// The ids of the words met so far in one text: words repeat, and finding their ids is the costly part.
///
/// A table of its own because a `Dictionary` would need an array allocated for every look-up.
struct WordCache {
  private struct Entry {
    var hash: Int
    var key: Range<Int>
    var ids: Range<Int>
  }

  private var keys: [UInt8] = []
  private var ids: [Int] = []
  private var entries: [Entry] = []
  /// Open addressing; holds indices of entries plus one, 0 where free.
  private var slots = [Int](repeating: 0, count: 128)

  /// Longer words hardly ever repeat.
  private static let longestWord = 128

  /// Appends the ids of a word, which come from `encode` the first time.
  mutating func append(
    _ word: Range<Int>, of bytes: [UInt8], to result: inout [Int], encode: (ArraySlice<UInt8>, inout [Int]) -> Void
  ) {
    guard word.count <= Self.longestWord else { return encode(bytes[word], &result) }
    // Seeded per process, so no text can be made to collide.
    var hasher = Hasher()
    bytes.withUnsafeBytes { hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[word])) }
    let hash = hasher.finalize()

    var slot = hash & (slots.count - 1)
    while slots[slot] != 0 {
      let entry = entries[slots[slot] - 1]
      if entry.hash == hash, isEqual(entry.key, bytes, word) {
        result += ids[entry.ids]
        return
      }
      slot = (slot + 1) & (slots.count - 1)
    }

    let start = ids.count
    encode(bytes[word], &ids)
    result += ids[start...]
    entries.append(Entry(hash: hash, key: keys.count..<keys.count + word.count, ids: start..<ids.count))
    keys += bytes[word]
    slots[slot] = entries.count
    if entries.count * 2 > slots.count { grow() }
  }

  private func isEqual(_ key: Range<Int>, _ bytes: [UInt8], _ word: Range<Int>) -> Bool {
    guard key.count == word.count else { return false }
    for i in 0..<key.count where keys[key.lowerBound + i] != bytes[word.lowerBound + i] { return false }
    return true
  }

  private mutating func grow() {
    slots = [Int](repeating: 0, count: slots.count * 2)
    for (i, entry) in entries.enumerated() {
      var slot = entry.hash & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = i + 1
    }
  }
}
