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

  @Test(arguments: [2, 3, 4, 8], [16, 48, 112]) func gridTimesVector(bits: Int, cols: Int) {
    let (rows, words) = (5, (cols * bits + 31) / 32)
    var source = KernelSource(state: UInt64(cols * 10 + bits))
    let codes = (0..<rows * words).map { _ in UInt32.random(in: 0...UInt32.max, using: &source) }
    let x = values(cols, seed: 4)
    for group in [16, cols] {
      let count = rows * cols / group
      // Weights of about one: sums of larger ones would cancel further than a tolerance can say.
      let scales = values(count, 0.1...2, seed: 5).map { $0 / Float(1 << bits) }
      let zeros = (0..<count).map { _ in UInt8.random(in: 0...UInt8(truncatingIfNeeded: 1 << bits - 1), using: &source) }
      var (a, b) = ([Float](repeating: 5, count: rows), [Float](repeating: 5, count: rows))
      var c = wide(a)
      gemv_grid_f32(&a, codes, scales, zeros, x, bits, group, 1, 4, words, cols)
      gemv_grid_ref_f32(&b, codes, scales, zeros, x, bits, group, 1, 4, words, cols)
      gemv_grid_f64(&c, codes, scales, zeros, wide(x), bits, group, 1, 4, words, cols)
      agree("gemv grid", tolerance: 1e-5, fast: a, reference: b, double: c)
      #expect(a[0] == 5 && a[4] == 5)
      // The double twin against what decoding gives.
      for row in 1..<4 {
        var line = [Double](repeating: 0, count: cols)
        let first = row * cols / group
        decode_grid_f64(
          &line, Array(codes[(row * words)...]), Array(scales[first...]), Array(zeros[first...]), bits, group, cols)
        #expect(abs(c[row] - zip(line, x).reduce(0) { $0 + $1.0 * Double($1.1) }) < 1e-9)
      }
    }
  }

  @Test(arguments: [16, 64, 192]) func nibblesTimesVector(cols: Int) {
    let (rows, book) = (5, values(16, -1...1, seed: 6))
    var source = KernelSource(state: UInt64(cols))
    let packed = (0..<rows * cols / 2).map { _ in UInt8.random(in: 0...255, using: &source) }
    let x = values(cols, seed: 7)
    for block in Set([16, min(64, cols)]) {
      let peaks = values(rows * cols / block, 0.1...1, seed: 8)
      let mine = Array(peaks[(cols / block)...])
      var (a, b) = ([Float](repeating: 5, count: rows), [Float](repeating: 5, count: rows))
      var c = wide(a)
      gemv_nibbles_f32(&a, packed, book, mine, x, block, 1, 4, cols)
      gemv_nibbles_ref_f32(&b, packed, book, mine, x, block, 1, 4, cols)
      gemv_nibbles_f64(&c, packed, book, wide(mine), wide(x), block, 1, 4, cols)
      agree("gemv nibbles", tolerance: 1e-5, fast: a, reference: b, double: c)
      #expect(a[0] == 5 && a[4] == 5)
      for row in 1..<4 {
        var line = [Double](repeating: 0, count: cols)
        decode_nibbles_f64(&line, packed, book, wide(Array(peaks[(row * cols / block)...])), row * cols, block, cols)
        #expect(abs(c[row] - zip(line, x).reduce(0) { $0 + $1.0 * Double($1.1) }) < 1e-9)
      }
    }
  }
}
