import Synchronization

/// A tokenizer's words with their ids, handed on from text to text.
///
/// Who comes while another has them begins with none: nobody waits. What ids a word has depends on the word alone, so
/// that nobody can tell but by the time it takes.
final class WordMemory: Sendable {
  private let resting = Mutex<WordCache?>(nil)

  func take() -> WordCache {
    let cache = resting.withLock { resting in
      defer { resting = nil }
      return resting
    }
    return cache ?? WordCache()
  }

  func giveBack(_ cache: WordCache) { resting.withLock { $0 = cache } }
}

/// The ids of the words met so far: words repeat, and finding their ids is the costly part.
///
/// A table of its own because a `Dictionary` would need an array allocated for every look-up.
struct WordCache: Sendable {
  private struct Entry {
    var hash: Int
    var key: Range<Int>
    var ids: Range<Int>
  }

  private var keys: [UInt8] = []
  private var ids: [Int] = []
  private var entries: [Entry] = []
  /// Open addressing; holds indices of entries plus one, 0 where free.
  private var slots = [Int](repeating: 0, count: 1024)

  /// Longer words hardly ever repeat.
  private static let longestWord = 64
  /// With more it begins anew: some megabytes are the most that it holds.
  private static let mostWords = 1 << 15

  /// Appends the ids of a word, which come from the model the first time.
  mutating func append(_ word: Range<Int>, of bytes: [UInt8], to result: inout [Int], from model: any Model) {
    guard word.count <= Self.longestWord else { return model.encode(word, of: bytes, into: &result) }
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

    if entries.count == Self.mostWords {
      self = WordCache()
      slot = hash & (slots.count - 1)
    }
    let start = ids.count
    model.encode(word, of: bytes, into: &ids)
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
