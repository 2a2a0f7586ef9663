import Synchronization
import Testing

@testable import Engine

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Products, stored weights, and decompositions against their definitions.
@Suite struct LinearTests {
  final class Owner {}

  /// Bytes of a matrix in a stored format, kept alive by the returned matrix.
  func frozen(_ values: Tensor, _ type: WeightType, isTransposed: Bool = false) -> FrozenMatrix {
    final class Bytes {
      let buffer: UnsafeMutableRawBufferPointer
      init(_ count: Int) { buffer = .allocate(byteCount: count, alignment: 64) }
      deinit { buffer.deallocate() }
    }
    let stored = isTransposed ? values.transposed : values
    let bytes = Bytes(stored.count * type.byteCount)
    switch type {
    case .float16, .bfloat16: stored.halves(type).withUnsafeBytes { bytes.buffer.copyMemory(from: $0) }
    case .float32: stored.converted(to: .float32).withUnsafeBytes { bytes.buffer.copyMemory(from: $0) }
    case .float64: stored.converted(to: .float64).withUnsafeBytes { bytes.buffer.copyMemory(from: $0) }
    }
    return FrozenMatrix(
      borrowing: UnsafeRawBufferPointer(bytes.buffer), type: type, rows: values.rows, columns: values.columns,
      isTransposed: isTransposed, owner: bytes)
  }

  func product(_ x: Tensor, _ w: Tensor) -> [Double] {
    let (a, b) = (x.values, w.values)
    return (0..<x.rows).flatMap { i in
      (0..<w.rows).map { j in (0..<x.columns).reduce(0) { $0 + a[i * x.columns + $1] * b[j * x.columns + $1] } }
    }
  }

  @Test(arguments: [WeightType.float32, .float16, .bfloat16, .float64], [false, true])
  func storedFormatsMultiplyAlike(_ type: WeightType, _ isTransposed: Bool) {
    var random = Philox(key: 3)
    // Multiples of 1/8 below 4 are exact in every format.
    let w = Tensor((0..<70 * 33).map { _ in Double(random.integer(below: 33) - 16) / 8 }, shape: [70, 33], .float64)
    let matrix = frozen(w, type, isTransposed: isTransposed)
    #expect(matrix.dense(as: .float64).values == w.values)
    #expect(matrix.dense(rows: 3..<9, as: .float64).values == w.slice(rows: 3..<9).values)
    for scalar in [ScalarType.float32, .float64] {
      for rows in [1, 5] {
        let x = random.normal([rows, 33], deviation: 1, scalar)
        let leaf = x.tracked()
        let y = leaf.linear(matrix)
        for (a, b) in zip(y.values, product(x, w)) { #expect(abs(a - b) < 1e-4) }
        y.sum.backward()
        let ones = Tensor(repeating: 1, shape: [rows, 70], .float64)
        let dx = leaf.gradient?.values ?? []
        for (a, b) in zip(dx, product(ones, w.transposed)) { #expect(abs(a - b) < 1e-4) }
        #expect(matrix.gatherRows([69, 0], as: scalar).values == w.gatherRows([69, 0]).values)
      }
    }
  }

  @Test func largeProductsAreSplitWithoutChange() {
    var random = Philox(key: 5)
    let (x, w) = (random.normal([140, 30], deviation: 1, .float64), random.normal([130, 30], deviation: 1, .float64))
    let y = x.multiplied(byTransposeOf: w).values
    for (a, b) in zip(y, product(x, w)) { #expect(abs(a - b) < 1e-10) }
  }

  /// Resuming on a machine with more cores, or fewer, goes on with the same numbers.
  @Test(arguments: [
    (520, 70, 90), (70, 300, 90), (300, 200, 33), (129, 65, 90), (1, 1100, 700), (2100, 96, 500), (150, 700, 1000),
  ])
  func productsDoNotDependOnTheNumberOfThreads(_ m: Int, _ n: Int, _ k: Int) {
    var random = Philox(key: 6)
    let (a, b) = (random.normal([m, k], deviation: 1), random.normal([n, k], deviation: 1))
    let products = [1, 2, 3, 7].map { threads in
      let c = Tensor.zeros([4, m, n])
      for turned in 0..<4 {
        // Whatever the order, there are as many numbers.
        let left = turned % 2 == 0 ? a.operand : BLAS.Operand(address: a.address(), stride: m, transposed: true)
        let right = turned < 2 ? b.operand.transpose : BLAS.Operand(address: b.address(), stride: n)
        BLAS.multiply(.float32, m, n, k, left, right, into: c.address(turned * m * n), stride: n, threads: threads)
      }
      return c.floats
    }
    for other in products.dropFirst() { #expect(other == products[0]) }
  }

  @Test func eachUsesNoMoreThreadsThanItMay() {
    let running = Mutex((now: 0, most: 0, calls: 0))
    Threads.each(40, width: 2) { _ in
      running.withLock {
        $0.now += 1
        $0.calls += 1
        $0.most = max($0.most, $0.now)
      }
      usleep(200)
      running.withLock { $0.now -= 1 }
    }
    running.withLock { #expect($0.calls == 40 && $0.most <= 2) }
  }

  @Test func aValueThatIsSharedIsNotOverwritten() {
    let base = Tensor([1, 2], shape: [1, 2], .float64)
    let sum = Tensor([1], shape: [1, 1], .float64).linear(Tensor([10, 20], shape: [2, 1], .float64), scale: 1, addedTo: base)
    #expect(sum.values == [11, 22])
    #expect(base.values == [1, 2])
  }

  @Test func frozenInputsKeepNothing() {
    let w = ramp([4, 4])
    let before = MemoryUsage.current.inUse
    let y = ramp([4, 4]).linear(FrozenMatrix(w)).silu.rmsNorm(Tensor(repeating: 1, shape: [4], .float64), eps: 1e-5)
    #expect(!y.hasHistory)
    _ = before
  }

  @Test(arguments: [[7, 4], [4, 7], [5, 5]]) func singularValuesRebuildTheMatrix(_ shape: [Int]) throws {
    var random = Philox(key: 2)
    let m = random.normal(shape, deviation: 1, .float64)
    let (u, s, v) = try LinearAlgebra.svd(m)
    let rebuilt = u.multipliedByRow(Tensor(s, .float64)).multiplied(by: v).values
    for (a, b) in zip(rebuilt, m.values) { #expect(abs(a - b) < 1e-12) }
    #expect(s == s.sorted(by: >))
    for j in 0..<s.count {
      let column = (0..<shape[0]).map { u.values[$0 * s.count + j] }
      #expect((column.max { abs($0) < abs($1) } ?? 0) > 0)
    }
  }

  @Test func triangularFactorsRebuildTheMatrix() throws {
    var random = Philox(key: 2)
    for shape in [[7, 4], [4, 7]] {
      let m = random.normal(shape, deviation: 1, .float64)
      let (q, r) = try LinearAlgebra.qr(m)
      for (a, b) in zip(q.multiplied(by: r).values, m.values) { #expect(abs(a - b) < 1e-12) }
      let gram = q.transposed.multiplied(by: q).values
      for (a, b) in zip(gram, Tensor.identity(4, .float64).values) { #expect(abs(a - b) < 1e-12) }
    }
  }
}
