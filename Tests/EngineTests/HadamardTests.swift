import CKernels
import Engine
import Testing

/// Transforms against dense matrices that are built here from their definitions.
@Suite struct HadamardTests {
  /// Orders the specification of the method names, and others with every kind of part.
  @Test(arguments: [(20, 20), (24, 12), (768, 12), (896, 28), (3072, 12), (4864, 76), (14336, 28), (18944, 148), (64, 1), (1, 1)])
  func ordersAreTheFirstThatExist(_ size: Int, _ order: Int) {
    let transform = Hadamard(inputs: size)
    #expect(transform.size == size && transform.order == order)
  }

  @Test(arguments: [(17, 20), (33, 36), (11008, 11264), (3, 4), (5, 8), (9, 12)])
  func sizesWithoutAMatrixArePadded(_ inputs: Int, _ size: Int) {
    #expect(Hadamard(inputs: inputs).size == size && Hadamard.size(for: inputs) == size)
  }

  @Test(arguments: [1, 2, 4, 8, 16, 20, 24, 32, 36, 40, 64, 80, 96, 148, 152, 256])
  func rowsAreOrthogonalSigns(_ n: Int) {
    let h = Tensor.identity(n, .float64).hadamard(Hadamard(inputs: n)).transposed * Double(n).squareRoot()
    #expect(h.values.allSatisfy { abs(abs($0) - 1) < 1e-12 })
    #expect((h.multiplied(byTransposeOf: h) - Tensor.identity(n, .float64) * Double(n)).largestMagnitude < 1e-9)
  }

  /// Entry (i, j) of a Sylvester matrix is (−1)^popcount(i AND j).
  @Test(arguments: [2, 8, 16, 128, 512], [ScalarType.float32, .float64])
  func powersOfTwoAreSylvester(_ n: Int, _ scalar: ScalarType) {
    let signs = (0..<n * n).map { (($0 / n) & ($0 % n)).nonzeroBitCount % 2 == 0 ? 1.0 : -1 }
    compare(n, Tensor(signs, shape: [n, n], .float64), scalar)
  }

  /// H_12 ⊗ H_{2^a} with Paley's first construction for q = 11, whose squares are 1, 3, 4, 5, 9.
  @Test(arguments: [12, 24, 96, 768, 1536], [ScalarType.float32, .float64])
  func otherSizesArePaleyTimesSylvester(_ n: Int, _ scalar: ScalarType) {
    let m = n / 12
    func base(_ i: Int, _ j: Int) -> Double {
      if i == j { return 1 }
      if i == 0 { return 1 }
      if j == 0 { return -1 }
      return [1, 3, 4, 5, 9].contains((i - j + 11) % 11) ? 1 : -1
    }
    let signs = (0..<n * n).map { place -> Double in
      let (i, j) = (place / n, place % n)
      return base(i / m, j / m) * (((i % m) & (j % m)).nonzeroBitCount % 2 == 0 ? 1 : -1)
    }
    compare(n, Tensor(signs, shape: [n, n], .float64), scalar)
  }

  private func compare(_ n: Int, _ h: Tensor, _ scalar: ScalarType) {
    var random = Philox(key: UInt64(n))
    let x = random.normal([3, n], deviation: 1, .float64)
    let transform = Hadamard(inputs: n)
    let scale = 1 / Double(n).squareRoot()
    let tolerance = scalar == .float32 ? 1e-5 : 1e-12
    let there = x.converted(to: scalar).hadamard(transform).converted(to: .float64)
    #expect((there - x.multiplied(byTransposeOf: h) * scale).largestMagnitude < tolerance)
    let back = x.converted(to: scalar).hadamardTransposed(transform).converted(to: .float64)
    #expect((back - x.multiplied(by: h) * scale).largestMagnitude < tolerance)
  }

  /// PᵀP = I whatever the padding; in float, with rows enough for several cores.
  @Test(arguments: [7, 33, 100, 4864, 11008]) func transposeUndoesIt(_ n: Int) {
    var random = Philox(key: 3)
    let x = random.normal([9, n], deviation: 1)
    let transform = Hadamard(inputs: n)
    #expect((x.hadamard(transform).hadamardTransposed(transform) - x).largestMagnitude < 1e-5)
  }

  @Test(arguments: [(8, 1), (16, 1), (128, 1), (1024, 1), (12, 12), (80, 20), (448, 28), (640, 20), (1216, 76)])
  func kernelsAgree(_ size: Int, _ order: Int) {
    let base = Hadamard(inputs: order).base
    let (rows, from) = (3, size - size / 5)
    let x = values(rows * size, seed: 61), y = values(rows * size, seed: 62)
    for (from, to, transposed) in [(from, size, Int32(0)), (size, from, 1), (size, size, 0)] {
      for accumulate: Int32 in [0, 1] {
        var (a, b, c) = (y, y, wide(y))
        var scratch = [Float](repeating: 9, count: size), wideScratch = [Double](repeating: 9, count: size)
        hadamard_f32(&a, accumulate, x, base, transposed, 0.5, &scratch, rows, from, to, order, size)
        hadamard_ref_f32(&b, accumulate, x, base, transposed, 0.5, &scratch, rows, from, to, order, size)
        hadamard_f64(&c, accumulate, wide(x), wide(base), transposed, 0.5, &wideScratch, rows, from, to, order, size)
        agree("hadamard \(size)", tolerance: 3e-5, fast: a, reference: b, double: c)
      }
    }
  }
}
