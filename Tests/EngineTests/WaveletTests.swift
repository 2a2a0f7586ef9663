import Engine
import Testing

/// The wavelet transform against the matrices of its definition, written out here.
@Suite struct WaveletTests {
  private static let r = 3.0.squareRoot()
  static let haar = [1, 1].map { $0 / 2.0.squareRoot() }
  static let db2 = [1 + r, 3 + r, 3 - r, 1 - r].map { $0 / (4 * 2.0.squareRoot()) }

  typealias Matrix = [[Double]]

  /// [L; H] of one level on m numbers, row by row.
  private func level(_ h: [Double], _ m: Int) -> (low: Matrix, high: Matrix) {
    let f = h.count
    var low = Matrix(repeating: .init(repeating: 0, count: m), count: m / 2)
    var high = low
    for k in 0..<m / 2 {
      for j in 0..<f {
        let place = (((2 * k + 1 - f / 2 + j) % m) + m) % m
        low[k][place] += h[j]
        high[k][place] += (j % 2 == 0 ? 1 : -1) * h[f - 1 - j]
      }
    }
    return (low, high)
  }

  private func product(_ a: Matrix, _ b: Matrix) -> Matrix {
    a.map { row in b[0].indices.map { j in row.indices.reduce(0) { $0 + row[$1] * b[$1][j] } } }
  }

  /// D_1 … D_J and S_1 … S_J of rows of n numbers, cut to their first n columns.
  private func bands(_ h: [Double], _ levels: Int, _ n: Int) -> (details: [Matrix], approximations: [Matrix]) {
    let whole = ((n + (1 << levels) - 1) >> levels) << levels
    var s: Matrix?
    var (details, approximations) = ([Matrix](), [Matrix]())
    for _ in 0..<levels {
      let (low, high) = level(h, s?.count ?? whole)
      details.append(s.map { product(high, $0) } ?? high)
      s = s.map { product(low, $0) } ?? low
      approximations.append(s ?? low)
    }
    func cut(_ all: [Matrix]) -> [Matrix] { all.map { $0.map { Array($0[..<n]) } } }
    return (cut(details), cut(approximations))
  }

  /// [width, n] by definition.
  private func dense(_ transform: WaveletTransform, _ n: Int) -> Tensor {
    let (details, approximations) = bands(transform.filter, transform.levels, n)
    var rows = Matrix()
    for j in 0..<transform.levels {
      rows += details[j]
      if transform.parts == .pyramid || j + 1 == transform.levels { rows += approximations[j] }
    }
    return Tensor(rows.flatMap { $0 }, shape: [rows.count, n], .float64)
  }

  private func difference(_ a: Tensor, _ b: Tensor) -> Double {
    #expect(a.shape == b.shape)
    return (a.converted(to: .float64) - b.converted(to: .float64)).largestMagnitude
  }

  @Test(
    arguments: [haar, db2, [0.3, -0.8, 0.5, 0.2, 0.1, -0.4]],
    [(1, 6), (1, 33), (2, 2), (2, 8), (2, 33), (3, 41), (4, 90), (1, 700)])
  func followsItsDefinition(_ filter: [Double], _ size: (levels: Int, n: Int)) {
    var random = Philox(key: 3)
    for parts in [WaveletTransform.Parts.basis, .pyramid] {
      let transform = WaveletTransform(filter: filter, levels: size.levels, parts: parts)
      let matrix = dense(transform, size.n)
      #expect(matrix.rows == transform.width(size.n))
      let x = random.normal([5, size.n], deviation: 1, .float64)
      let bands = random.normal([5, matrix.rows], deviation: 1, .float64)
      let base = random.normal([5, size.n], deviation: 1, .float64)
      for (scalar, bound) in [(ScalarType.float64, 1e-13), (.float32, 1e-5)] {
        let (x, bands, base) = (x.converted(to: scalar), bands.converted(to: scalar), base.converted(to: scalar))
        let expected = bands.converted(to: .float64).multiplied(by: matrix)
        #expect(difference(x.waveletAnalysis(transform), x.converted(to: .float64).multiplied(byTransposeOf: matrix)) < bound)
        #expect(difference(bands.waveletSynthesis(transform, count: size.n), expected) < bound)
        let sum = expected + base.converted(to: .float64)
        #expect(difference(bands.waveletSynthesis(transform, addedTo: base), sum) < bound)
      }
    }
  }

  @Test(arguments: [haar, db2], [1, 2, 3]) func isOrthogonal(_ filter: [Double], _ levels: Int) {
    for n in [8, 16, 48] {
      let transform = WaveletTransform(filter: filter, levels: levels)
      let matrix = Tensor.identity(n, .float64).waveletAnalysis(transform)
      #expect(difference(matrix.multiplied(byTransposeOf: matrix), .identity(n, .float64)) < 1e-14)
      #expect(difference(matrix.waveletSynthesis(transform, count: n), .identity(n, .float64)) < 1e-14)
    }
  }

  @Test(arguments: [WaveletTransform.Parts.basis, .pyramid], [1, 2, 3]) func isAdjointToItsSynthesis(
    _ parts: WaveletTransform.Parts, _ levels: Int
  ) {
    var random = Philox(key: 5)
    for n in [1, 7, 30, 64] {
      let transform = WaveletTransform(filter: Self.db2, levels: levels, parts: parts)
      let x = random.normal([4, n], deviation: 1, .float64)
      let y = random.normal([4, transform.width(n)], deviation: 1, .float64)
      let forward = (x.waveletAnalysis(transform) * y).sum.item
      #expect(abs(forward - (x * y.waveletSynthesis(transform, count: n)).sum.item) < 1e-13)
    }
  }

  /// Details of a constant are 0; those of db2 vanish on a ramp, too, away from where the row closes.
  @Test func detailsSeeNoPolynomials() {
    let n = 32
    let (constant, ramp) = (
      Tensor(repeating: 1, shape: [1, n], .float64), Tensor((0..<n).map(Double.init), shape: [1, n], .float64)
    )
    for filter in [Self.haar, Self.db2] {
      let transform = WaveletTransform(filter: filter, levels: 3)
      let details = constant.waveletAnalysis(transform).slice(columns: 0..<n - n / 8)
      #expect(details.largestMagnitude < 1e-14)
    }
    let first = ramp.waveletAnalysis(WaveletTransform(filter: Self.db2, levels: 1)).slice(columns: 1..<n / 2 - 1)
    #expect(first.largestMagnitude < 1e-13)
  }

  @Test func saysWhereItsBandsAre() {
    let basis = WaveletTransform(filter: Self.haar, levels: 3)
    #expect(basis.padded(33) == 40 && basis.width(33) == 40)
    #expect((1...3).map { basis.columns(of: .detail($0), in: 33) } == [0..<20, 20..<30, 30..<35])
    #expect(basis.columns(of: .approximation(3), in: 33) == 35..<40)
    let pyramid = WaveletTransform(filter: Self.haar, levels: 2, parts: .pyramid)
    #expect(pyramid.columns(of: .approximation(1), in: 7) == 4..<8 && pyramid.columns(of: .detail(2), in: 7) == 8..<10)
    #expect(pyramid.width(7) == 12)
  }
}
