/// Whole numbers by whole numbers, in one flat table.
///
/// Joining pairs and following tries is looking up and little else, and there a `Dictionary` takes several times as long.
struct IntegerTable: Sendable {
  private struct Entry: Sendable {
    var key: UInt64
    var value: UInt64
  }

  /// What stands for no value, and cannot be one.
  static let none = UInt64.max

  /// Open addressing, at most half full; as many as a power of two.
  private var entries: [Entry]
  private var count = 0
  /// Drawn anew for every table: no file can be made so that its keys collide.
  private let seed = UInt64.random(in: .min ... .max)

  init(capacity: Int = 0) {
    var size = 16
    while size / 2 < capacity { size *= 2 }
    entries = Array(repeating: Entry(key: 0, value: Self.none), count: size)
  }

  /// The value of a key, `none` where it has none.
  subscript(key: UInt64) -> UInt64 {
    get { entries[slot(of: key)].value }
    set {
      if (count + 1) * 2 > entries.count { grow() }
      let slot = slot(of: key)
      if entries[slot].value == Self.none { count += 1 }
      entries[slot] = Entry(key: key, value: newValue)
    }
  }

  /// Where a key is, or would be put.
  @inline(__always)
  private func slot(of key: UInt64) -> Int {
    let mask = entries.count - 1
    let product = (key ^ seed).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    var slot = Int(truncatingIfNeeded: product.high ^ product.low) & mask
    while entries[slot].value != Self.none, entries[slot].key != key { slot = (slot + 1) & mask }
    return slot
  }

  private mutating func grow() {
    let old = entries
    entries = Array(repeating: Entry(key: 0, value: Self.none), count: old.count * 2)
    for entry in old where entry.value != Self.none { entries[slot(of: entry.key)] = entry }
  }
}
