import CKernels

/// How fast this machine is at what training consists of.
public enum Measurement {
  /// Floating-point operations a second of a single-precision product of two matrices of `size`², the best of a few.
  public static func productRate(size: Int = 1536, parallel: Bool) -> Double {
    // One row, again and again: random digits, as any data has them, without drawing millions.
    var random = Philox(key: 0)
    func matrix() -> Tensor {
      Tensor.joinedRows([Tensor](repeating: random.uniform([1, size], in: -1..<1), count: size))
    }
    let (a, b) = (matrix(), matrix())
    let c = Tensor(uninitialized: [size, size], .float32)
    func product() {
      BLAS.multiply(
        .float32, size, size, size, a.operand, b.operand, into: c.address(), stride: size, threads: parallel ? Threads.count : 1)
    }
    product()
    let flops = 2 * Double(size) * Double(size) * Double(size)
    return flops / fastest(of: 5, product)
  }

  /// Bytes a second that copying a large block reads and writes, on all threads.
  public static func memoryBandwidth(byteCount: Int = 1 << 28) -> Double {
    let (source, target) = (Storage(byteCount: byteCount), Storage(byteCount: byteCount))
    source.address.initializeMemory(as: UInt8.self, repeating: 1, count: byteCount)
    let pieces = byteCount >> 20
    func copy() {
      Threads.split(pieces, cost: 1 << 20) { range in
        (target.address + (range.lowerBound << 20)).copyMemory(
          from: source.address + (range.lowerBound << 20), byteCount: range.count << 20)
      }
    }
    copy()
    let seconds = fastest(of: 5, copy)
    MemoryUsage.trim()
    return 2 * Double(pieces << 20) / seconds
  }

  /// Bytes a second that reading a large block takes in, on all threads: as fast as weights can be read at best.
  public static func readBandwidth(byteCount: Int = 1 << 28) -> Double {
    let block = Storage(byteCount: byteCount)
    block.address.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    // Sums of columns take four rows at a time: a core that reads in several places at once fetches half as much again.
    let columns = 1 << 12
    let rows = byteCount / (4 * columns)
    func read() {
      Threads.split(rows, cost: columns) { range in
        let sums = Storage(byteCount: 4 * columns)
        sums.address.initializeMemory(as: UInt8.self, repeating: 0, count: 4 * columns)
        let numbers = block.address.assumingMemoryBound(to: Float.self)
        col_sum_acc_f32(
          sums.address.assumingMemoryBound(to: Float.self), numbers + range.lowerBound * columns, range.count, columns)
      }
    }
    read()
    let seconds = fastest(of: 5, read)
    MemoryUsage.trim()
    return Double(4 * columns * rows) / seconds
  }

  /// A slow machine has shown what it can do after a second.
  private static func fastest(of times: Int, _ body: () -> Void) -> Double {
    let clock = ContinuousClock()
    var (best, total) = (Double.infinity, 0.0)
    for _ in 0..<times where total < 1 {
      let seconds = clock.measure(body) / .seconds(1)
      best = min(best, seconds)
      total += seconds
    }
    return best
  }
}
