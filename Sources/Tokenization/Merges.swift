import JSON

/// The learned pairs: which two tokens join, into what, and in which order of preference.
struct Merges: Sendable {
  /// A pair of ids to rank and result, each two halves of a word, so that comparing results compares ranks.
  private var table: IntegerTable

  private static let none = IntegerTable.none

  /// Reads pairs written as `"a b"` or as `["a", "b"]`; what they join into lacks the second's prefix.
  init(_ field: Field, vocabulary: Vocabulary, prefixLength: Int = 0) throws(TokenizerError) {
    guard let items = field.value.array else { throw field.mismatch(expected: "an array") }
    guard items.count < Int(Int32.max) else { throw field.refusal("too many merges") }
    table = IntegerTable(capacity: items.count)
    for (rank, item) in items.enumerated() {
      // The path is spelled out only for a refusal: there are hundreds of thousands of these.
      func refusal(_ message: String) -> TokenizerError {
        TokenizerError(path: "\(field.path)[\(rank)]", message: message)
      }
      if case .string(let text) = item, text.utf8.starts(with: "#version".utf8) { continue }
      guard let (left, right) = Self.pair(item) else { throw refusal("expected a pair of tokens") }
      func id(_ token: [UInt8]) throws(TokenizerError) -> UInt32 {
        guard let id = vocabulary.id(of: token) else {
          throw refusal("\(quoted(String(decoding: token, as: UTF8.self))) is not in the vocabulary")
        }
        return id
      }
      guard right.count >= prefixLength else { throw refusal("the second token lacks the prefix") }
      let joined = left + right[prefixLength...]
      table[Self.pack(try id(left), try id(right))] = Self.pack(UInt32(rank), try id(joined))
    }
  }

  private static func pair(_ item: JSON) -> ([UInt8], [UInt8])? {
    switch item {
    case .string(let text):
      let bytes = Array(text.utf8)
      guard let blank = bytes.firstIndex(of: 0x20), !bytes[(blank + 1)...].contains(0x20) else { return nil }
      return (Array(bytes[..<blank]), Array(bytes[(blank + 1)...]))
    case .array(let parts):
      guard parts.count == 2, let left = parts[0].string, let right = parts[1].string else { return nil }
      return (Array(left.utf8), Array(right.utf8))
    default: return nil
    }
  }

  private static func pack(_ high: UInt32, _ low: UInt32) -> UInt64 { UInt64(high) << 32 | UInt64(low) }

  private func join(_ left: UInt32, _ right: UInt32) -> UInt64 { table[Self.pack(left, right)] }

  /// Joins pairs, lowest rank first and leftmost among equals, until none is known.
  func apply(to symbols: inout [UInt32]) {
    if symbols.count <= Self.longestScan { scan(&symbols) } else { queue(&symbols) }
  }

  /// Up to here looking over all pairs each time beats keeping them in order.
  static let longestScan = 64
}

extension Merges {
  /// Quadratic, without bookkeeping: what nearly all words take.
  func scan(_ symbols: inout [UInt32]) {
    guard symbols.count > 1 else { return }
    var joins: [UInt64] = []
    joins.reserveCapacity(symbols.count)
    for i in 1..<symbols.count { joins.append(join(symbols[i - 1], symbols[i])) }
    while true {
      var best = Self.none
      var at = 0
      for i in joins.indices where joins[i] < best { (best, at) = (joins[i], i) }
      guard best != Self.none else { return }
      symbols[at] = UInt32(truncatingIfNeeded: best)
      symbols.remove(at: at + 1)
      joins.remove(at: at)
      if at > 0 { joins[at - 1] = join(symbols[at - 1], symbols[at]) }
      if at < joins.count { joins[at] = join(symbols[at], symbols[at + 1]) }
    }
  }

  /// For words of any length: symbols in a linked list, joins in a heap.
  func queue(_ symbols: inout [UInt32]) {
    let count = symbols.count
    var previous = Array(-1..<count - 1)
    var next = Array(1..<count + 1)
    /// What each symbol and its right neighbour join into now; entries of the heap that say otherwise are passed over.
    var joins = [UInt64](repeating: Self.none, count: count)
    var heap = JoinHeap(capacity: count)

    for i in 0..<max(count - 1, 0) {
      joins[i] = join(symbols[i], symbols[i + 1])
      heap.push(.init(join: joins[i], at: i))
    }
    while let top = heap.pop() {
      let (left, right) = (top.at, next[top.at])
      guard joins[left] == top.join else { continue }
      symbols[left] = UInt32(truncatingIfNeeded: top.join)
      next[left] = next[right]
      joins[right] = Self.none
      joins[left] = Self.none
      if next[right] < count {
        previous[next[right]] = left
        joins[left] = join(symbols[left], symbols[next[right]])
        heap.push(.init(join: joins[left], at: left))
      }
      let before = previous[left]
      if before >= 0 {
        joins[before] = join(symbols[before], symbols[left])
        heap.push(.init(join: joins[before], at: before))
      }
    }
    var (kept, at) = (0, 0)
    while at < count {
      symbols[kept] = symbols[at]
      (kept, at) = (kept + 1, next[at])
    }
    symbols.removeLast(count - kept)
  }
}

/// A binary heap, the next join to make on top.
private struct JoinHeap {
  struct Entry {
    var join: UInt64
    var at: Int

    func precedes(_ other: Entry) -> Bool { join == other.join ? at < other.at : join < other.join }
  }

  private var entries: [Entry] = []

  init(capacity: Int) { entries.reserveCapacity(capacity) }

  /// Puts an entry in, unless it joins nothing.
  mutating func push(_ entry: Entry) {
    guard entry.join != IntegerTable.none else { return }
    entries.append(entry)
    var at = entries.count - 1
    while at > 0, entry.precedes(entries[(at - 1) / 2]) {
      entries[at] = entries[(at - 1) / 2]
      at = (at - 1) / 2
    }
    entries[at] = entry
  }

  mutating func pop() -> Entry? {
    guard let last = entries.popLast() else { return nil }
    guard let top = entries.first else { return last }
    var at = 0
    while true {
      var child = 2 * at + 1
      guard child < entries.count else { break }
      if child + 1 < entries.count, entries[child + 1].precedes(entries[child]) { child += 1 }
      guard entries[child].precedes(last) else { break }
      entries[at] = entries[child]
      at = child
    }
    entries[at] = last
    return top
  }
}
