/// NumPy's `default_rng(seed)`, bit for bit: SeedSequence and PCG64, with the draws that an index list needs.
struct NumPyRandom: Shuffling {
  private var state: UInt128
  private let increment: UInt128
  private var spare: UInt32?

  init(seed: UInt64) {
    let words = NumPyRandom.seedSequence(seed)
    let start = UInt128(words[0]) << 64 | UInt128(words[1])
    increment = (UInt128(words[2]) << 64 | UInt128(words[3])) << 1 | 1
    state = 0
    step()
    state &+= start
    step()
  }

  /// Four words of 64 bits that spread a seed over the generator's state.
  static func seedSequence(_ seed: UInt64) -> [UInt64] {
    var hash: UInt32 = 0x43b0_d7e5
    func mixed(_ value: UInt32) -> UInt32 {
      var v = value ^ hash
      hash = hash &* 0x931e_8875
      v = v &* hash
      return v ^ v >> 16
    }
    let entropy = [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32), 0, 0]
    var pool = entropy.map(mixed)
    for source in 0..<4 {
      for target in 0..<4 where target != source {
        let t = 0xca01_f9dd &* pool[target] &- 0x4973_f715 &* mixed(pool[source])
        pool[target] = t ^ t >> 16
      }
    }
    hash = 0x8b51_f9dd
    let words = (0..<8).map { i in
      var v = pool[i % 4] ^ hash
      hash = hash &* 0x58f3_8ded
      v = v &* hash
      return UInt64(v ^ v >> 16)
    }
    return (0..<4).map { words[2 * $0] | words[2 * $0 + 1] << 32 }
  }

  private mutating func step() {
    state = state &* (2_549_297_995_355_413_924 << 64 | 4_865_540_595_714_422_341) &+ increment
  }

  mutating func next64() -> UInt64 {
    step()
    let x = UInt64(truncatingIfNeeded: state >> 64 ^ state)
    let turn = UInt64(truncatingIfNeeded: state >> 122)
    return x >> turn | x << ((64 - turn) & 63)
  }

  /// Halves of one word, the low one first.
  mutating func next32() -> UInt32 {
    if let word = spare {
      spare = nil
      return word
    }
    let word = next64()
    spare = UInt32(truncatingIfNeeded: word >> 32)
    return UInt32(truncatingIfNeeded: word)
  }

  /// 0...last by multiplication, with rejection.
  private mutating func bounded(_ last: UInt32) -> UInt32 {
    guard last > 0 else { return 0 }
    let range = UInt64(last) + 1
    var product = UInt64(next32()) * range
    if product & 0xffff_ffff < range {
      let threshold = UInt64(UInt32.max - last) % range
      while product & 0xffff_ffff < threshold { product = UInt64(next32()) * range }
    }
    return UInt32(product >> 32)
  }

  /// 0...last by masking, with rejection.
  private mutating func interval(_ last: UInt32) -> UInt32 {
    guard last > 0 else { return 0 }
    let mask = UInt32.max >> UInt32(last.leadingZeroBitCount)
    while true {
      let value = next32() & mask
      if value <= last { return value }
    }
  }

  mutating func shuffle(_ list: inout [Int32]) {
    for i in stride(from: list.count - 1, to: 0, by: -1) { list.swapAt(i, Int(interval(UInt32(i)))) }
  }

  /// The end of a partial shuffle for large shares of large populations, Floyd's method otherwise.
  mutating func choice(_ count: Int, of population: Int) -> [Int32] {
    if population > 10_000, count > population / 50 {
      var all = Array(0..<Int32(population))
      for i in stride(from: population - 1, through: max(population - count, 1), by: -1) {
        all.swapAt(i, Int(bounded(UInt32(i))))
      }
      return Array(all.suffix(count))
    }
    var chosen: [Int32] = []
    var taken: Set<Int32> = []
    for j in population - count..<population {
      let draw = Int32(bounded(UInt32(j)))
      let new = taken.contains(draw) ? Int32(j) : draw
      taken.insert(new)
      chosen.append(new)
    }
    for i in stride(from: count - 1, to: 0, by: -1) { chosen.swapAt(i, Int(bounded(UInt32(i)))) }
    return chosen
  }
}
