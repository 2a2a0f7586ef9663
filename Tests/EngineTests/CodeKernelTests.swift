import CKernels
import Testing

/// Decoding of weights in few bits: the vector kernels against their scalar twins and against the definition.
@Suite struct CodeKernels {
  @Test(arguments: [2, 3, 4, 8], [1, 15, 16, 17, 33, 48, 100]) func grid(bits: Int, n: Int) {
    var source = KernelSource(state: UInt64(n * 10 + bits))
    let codes = (0..<n).map { _ in UInt8.random(in: 0...UInt8(truncatingIfNeeded: 1 << bits - 1), using: &source) }
    var words = [UInt32](repeating: 0, count: (n * bits + 31) / 32)
    for (k, code) in codes.enumerated() {
      for bit in 0..<bits where code >> bit & 1 == 1 { words[(k * bits + bit) / 32] |= 1 << ((k * bits + bit) % 32) }
    }
    for group in Set([1, 16, n, n / 3]) where group > 0 && n % group == 0 {
      let scales = values(n / group, 0.1...2, seed: 1)
      let zeros = (0..<n / group).map { _ in UInt8.random(in: 0...UInt8(truncatingIfNeeded: 1 << bits - 1), using: &source) }
      var (a, b) = ([Float](repeating: .nan, count: n), [Float](repeating: .nan, count: n))
      var c = wide(a)
      decode_grid_f32(&a, words, scales, zeros, bits, group, n)
      decode_grid_ref_f32(&b, words, scales, zeros, bits, group, n)
      decode_grid_f64(&c, words, scales, zeros, bits, group, n)
      let expected = codes.enumerated().map { (Double($1) - Double(zeros[$0 / group])) * Double(scales[$0 / group]) }
      #expect(c == expected)
      #expect(a == expected.map { Float($0) } && b == a)
    }
  }

  @Test(arguments: [0, 1, 2, 7, 63, 64, 65], [0, 1, 2, 15, 64, 65, 200]) func nibbles(first: Int, n: Int) {
    let book = values(16, seed: 2)
    let total = first + n
    var source = KernelSource(state: UInt64(first * 1000 + n))
    let codes = (0..<total + 1).map { _ in UInt8.random(in: 0...15, using: &source) }
    let packed = stride(from: 0, to: total, by: 2).map { codes[$0] << 4 | codes[$0 + 1] }
    for block in [32, 64] {
      let peaks = values(total / block + 1, 0.1...3, seed: 3)
      let mine = Array(peaks[(first / block)...])
      var (a, b) = ([Float](repeating: .nan, count: n), [Float](repeating: .nan, count: n))
      var c = wide(a)
      decode_nibbles_f32(&a, packed, book, mine, first, block, n)
      decode_nibbles_ref_f32(&b, packed, book, mine, first, block, n)
      decode_nibbles_f64(&c, packed, book, wide(mine), first, block, n)
      let expected = (first..<total).map { Double(book[Int(codes[$0])]) * Double(peaks[$0 / block]) }
      #expect(c == expected)
      #expect(a == expected.map { Float($0) } && b == a)
    }
  }
}
