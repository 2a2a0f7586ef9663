import Testing

@testable import Engine

/// What tensors free is kept for others, within bounds.
@Suite struct PoolTests {
  @Test func changingSizesDoNotPileUp() {
    let pool = BufferPool()
    var most = 0
    // Steps of changing length, as batches of text have them: a few tensors each, all alive at once.
    for length in [300, 900, 700, 1000, 350, 990, 720, 505, 640, 875] {
      let sizes = [192, 512, 96, 512, 192].map { $0 * length * 4 }
      let blocks = sizes.map { pool.take($0) }
      most = max(most, pool.usage.inUse)
      #expect(zip(blocks, sizes).allSatisfy { $0.1 >= $1 })
      for ((address, capacity), size) in zip(blocks, sizes) { pool.give(address, capacity, for: size) }
      #expect(pool.usage.inUse == 0)
      #expect(pool.usage.held <= most)
    }
    #expect(pool.usage.peak == most)
    // The largest step, rounded up to size classes, and no more.
    #expect(Double(most) < Double((192 + 512 + 96 + 512 + 192) * 1000 * 4) * 1.04)
    pool.trim()
    #expect(pool.usage.held == 0)
  }

  @Test func aKeptBlockServesSomewhatSmallerRequests() {
    let pool = BufferPool()
    let (first, capacity) = pool.take(400_000)
    pool.give(first, capacity, for: 400_000)
    let (second, again) = pool.take(340_000)
    #expect(second == first && again == capacity)
    let (third, small) = pool.take(100_000)
    #expect(third != first && small < 110_000)
    pool.give(second, again, for: 340_000)
    pool.give(third, small, for: 100_000)
    pool.trim()
    #expect(pool.usage.allocations == 2)
  }
}
