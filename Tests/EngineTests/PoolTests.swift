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
      for (address, size) in zip(blocks, sizes) { pool.give(address, size) }
      #expect(pool.usage.inUse == 0)
      #expect(pool.usage.held <= most + most / 16 + 4096)
    }
    #expect(pool.usage.peak == most)
    // The largest step in whole pages, and no more.
    #expect(Double(most) < Double((192 + 512 + 96 + 512 + 192) * 1000 * 4) * 1.01)
    pool.trim()
    #expect(pool.usage.held == 0)
  }

  @Test func aStepThatIsRepeatedAsksTheSystemForNothing() {
    let pool = BufferPool()
    func step() {
      var blocks: [(UnsafeMutableRawPointer, Int)] = []
      for round in 0..<40 {
        blocks.append((pool.take(3000 * (round % 7 + 1)), 3000 * (round % 7 + 1)))
        blocks.append((pool.take(90_000 * (round % 5 + 1)), 90_000 * (round % 5 + 1)))
        if round % 3 == 2 {
          for _ in 0..<3 {
            let (address, size) = blocks.remove(at: blocks.count / 2)
            pool.give(address, size)
          }
        }
      }
      for (address, size) in blocks { pool.give(address, size) }
    }
    for _ in 0..<4 { step() }
    let before = pool.usage.allocations
    for _ in 0..<20 { step() }
    #expect(pool.usage.allocations == before)
  }

  @Test func blocksDoNotOverlap() {
    let pool = BufferPool()
    var random = Philox(key: 3)
    var live: [(address: UnsafeMutableRawPointer, size: Int, mark: UInt8)] = []
    func check(_ block: (address: UnsafeMutableRawPointer, size: Int, mark: UInt8)) -> Bool {
      UnsafeRawBufferPointer(start: block.address, count: block.size).allSatisfy { $0 == block.mark }
    }
    for round in 0..<600 {
      if live.count > 30 || (round % 3 == 0 && !live.isEmpty) {
        let block = live.remove(at: Int(random.uniform() * Double(live.count)))
        #expect(check(block))
        pool.give(block.address, block.size)
      }
      let size = 1 + Int(random.uniform() * random.uniform() * 60_000)
      let address = pool.take(size)
      let mark = UInt8(truncatingIfNeeded: round)
      address.initializeMemory(as: UInt8.self, repeating: mark, count: size)
      live.append((address, size, mark))
      if round == 300 { pool.trim() }
    }
    #expect(live.allSatisfy(check))
  }

  @Test func neighboursBecomeOne() {
    let pool = BufferPool()
    let blocks = (0..<4).map { _ in pool.take(100_000) }
    for block in [1, 3, 0, 2] { pool.give(blocks[block], 100_000) }
    let before = pool.usage.allocations
    #expect(pool.take(400_000) == blocks[0])
    #expect(pool.usage.allocations == before && pool.usage.held < 20_000)
  }
}
