import Testing

@testable import Engine

/// Matrices in few bits: they are what they decode to, wherever a matrix is used.
@Suite struct WeightCodesTests {
  static func grid(_ rows: Int, _ columns: Int, bits: Int, group: Int) -> GridCodes {
    var random = Philox(key: UInt64(bits))
    let (levels, groups) = (1 << bits, rows * columns / group)
    return GridCodes(
      rows: rows, columns: columns, bits: bits, groupSize: group,
      codes: (0..<rows * columns).map { _ in UInt8(random.integer(below: levels)) },
      scales: (0..<groups).map { _ in Float(random.uniform()) + 0.1 },
      zeros: (0..<groups).map { _ in UInt8(random.integer(below: levels)) })
  }

  static func normalFloat(_ rows: Int, _ columns: Int, block: Int, isNested: Bool) -> NormalFloatCodes {
    var random = Philox(key: UInt64(block))
    let blocks = NormalFloatCodes.blocks(rows * columns, block)
    let peaks: NormalFloatCodes.Peaks =
      isNested
      ? .nested(
        NestedPeaks(
          codes: FrozenBytes((0..<blocks).map { _ in UInt8(random.integer(below: 256)) }),
          peaks: FrozenBytes((0..<NormalFloatCodes.blocks(blocks, 256)).map { _ in Float(random.uniform()) }), offset: 1.5,
          map: FrozenBytes((0..<256).map { Float($0) / 128 - 1 })))
      : .floats(FrozenBytes((0..<blocks).map { _ in Float(random.uniform()) + 0.1 }))
    return NormalFloatCodes(
      rows: rows, columns: columns, blockSize: block,
      codes: (0..<rows * columns).map { _ in UInt8(random.integer(below: 16)) }, peaks: peaks)
  }

  static let all: [WeightCodes] =
    [2, 3, 4, 8].map { .grid(grid(70, 33, bits: $0, group: 11)) } + [.grid(grid(40, 96, bits: 3, group: 32))]
    + [32, 64].flatMap { block in [false, true].map { .normalFloat(normalFloat(70, 33, block: block, isNested: $0)) } }

  /// By the definition, element by element.
  func values(_ codes: WeightCodes) -> [Double] {
    switch codes {
    case .grid(let grid):
      let (scales, zeros) = (grid.scales.array(of: Float.self), grid.zeros.array(of: UInt8.self))
      return grid.codes.enumerated().map { k, code in
        let group = k / grid.columns * grid.groups + k % grid.columns / grid.groupSize
        return (Double(code) - Double(zeros[group])) * Double(scales[group])
      }
    case .normalFloat(let codes):
      let peaks = codes.peaks(0..<codes.blocks)
      return codes.codes.enumerated().map { Double(NormalFloatCodes.book[Int($1)]) * peaks[$0 / codes.blockSize] }
    }
  }

  @Test(arguments: all.indices, [false, true]) func standsForItsNumbers(_ index: Int, _ isTransposed: Bool) {
    let codes = Self.all[index]
    let matrix = FrozenMatrix(codes, isTransposed: isTransposed)
    let dense = Tensor(values(codes), shape: [codes.rows, codes.columns], .float64)
    #expect(matrix.isQuantized && matrix.dense(as: .float64).values == dense.values)
    #expect(matrix.dense(rows: 3..<9, as: .float64).values == dense.slice(rows: 3..<9).values)
    #expect(matrix.stored(as: .float64).values == (isTransposed ? dense.transposed : dense).values)
    var random = Philox(key: 5)
    for scalar in [ScalarType.float32, .float64] {
      #expect(matrix.gatherRows([39, 0], as: scalar).values == matrix.dense(as: scalar).gatherRows([39, 0]).values)
      for rows in [1, 5] {
        let x = random.normal([rows, codes.columns], deviation: 1, scalar)
        let (coded, plain) = (x.tracked(), x.tracked())
        let weight = dense.converted(to: scalar)
        let (y, expected) = (coded.linear(matrix), plain.linear(FrozenMatrix(weight)))
        let seed = random.normal(y.shape, deviation: 1, scalar)
        Tensor.backward([(y, seed), (expected, seed)])
        let bound = scalar == .float32 ? 2e-5 : 1e-12
        #expect(zip(y.values, expected.values).allSatisfy { abs($0 - $1) <= bound * (1 + abs($1)) })
        let (dx, wanted) = (coded.gradient?.values ?? [], plain.gradient?.values ?? [])
        #expect(dx.count == wanted.count && zip(dx, wanted).allSatisfy { abs($0 - $1) <= bound * (1 + abs($1)) })
      }
    }
  }

  /// More rows than fit a tile: about four megabytes.
  @Test func tilesAddUp() {
    for codes in [
      WeightCodes.grid(Self.grid(700, 4096, bits: 4, group: 64)),
      .normalFloat(Self.normalFloat(700, 4095, block: 64, isNested: false)),
    ] {
      let matrix = FrozenMatrix(codes)
      var random = Philox(key: 6)
      let x = random.normal([3, codes.columns], deviation: 1).tracked()
      let y = x.linear(matrix)
      let dy = random.normal(y.shape, deviation: 1)
      Tensor.backward([(y, dy)])
      let dense = matrix.dense()
      let expected = x.detached.multiplied(byTransposeOf: dense)
      #expect((y - expected).largestMagnitude < 1e-3 * expected.largestMagnitude)
      let dx = dy.multiplied(by: dense)
      #expect((x.gradient.map { ($0 - dx).largestMagnitude } ?? 1) < 1e-3 * dx.largestMagnitude)
    }
  }

  @Test func bytesAreThoseOfTheCodes() {
    // 4 bits and, every 64 inputs, a float and a byte.
    let grid = FrozenMatrix(.grid(Self.grid(64, 256, bits: 4, group: 64)))
    #expect(grid.byteCount == 64 * 256 / 2 + 64 * 4 * 5)
    let normal = FrozenMatrix(.normalFloat(Self.normalFloat(64, 256, block: 64, isNested: false)))
    #expect(Double(normal.byteCount * 8) / (64 * 256) == 4.5)
    let nested = FrozenMatrix(.normalFloat(Self.normalFloat(1024, 1024, block: 64, isNested: true)))
    // Beside 4 + 8/64 + 32/(64·256) bits a weight there is one map of 256 floats and the offset.
    #expect(nested.byteCount - 1028 == Int((4 + 8 / 64.0 + 32 / (64 * 256.0)) * 1024 * 1024 / 8))
  }

  @Test(arguments: [2, 3, 4, 8]) func streamsOfBits(_ bits: Int) {
    var random = Philox(key: 7)
    for count in [1, 7, 10, 11, 32, 33, 100] {
      let codes = (0..<3 * count).map { _ in UInt8(random.integer(below: 1 << bits)) }
      let words = BitStream.packed(codes, rows: 3, bits: bits)
      #expect(words.count == 3 * ((count * bits + 31) / 32))
      #expect(BitStream.unpacked(words, rows: 3, count: count, bits: bits) == codes)
    }
  }

  @Test(arguments: [2, 3, 4, 8], [ExchangeCodes.Version.one, .two])
  func exchangeIsTheTranspose(_ bits: Int, _ version: ExchangeCodes.Version) throws {
    let codes = Self.grid(64, 96, bits: bits, group: 32)
    let exchange = try #require(ExchangeCodes(codes, version: version))
    let rows = codes.packed.array(of: Int32.self)
    let words = 96 * bits / 32
    for row in 0..<64 { for word in 0..<words { #expect(exchange.weight[word * 64 + row] == rows[row * words + word]) } }
    #expect(exchange.groupIndices == (0..<96).map { Int32($0 / 32) })
    let back = exchange.codes
    #expect(back.codes == codes.codes && back.zeros.array(of: UInt8.self) == codes.zeros.array(of: UInt8.self))
    #expect(back.scales.array(of: Float.self) == codes.scales.array(of: Float.self))
    #expect(ExchangeCodes(Self.grid(63, 96, bits: 3, group: 32)) == nil)
  }

  @Test func factorsOfSymmetricMatrices() throws {
    var random = Philox(key: 8)
    let x = random.normal([40, 12], deviation: 1, .float64)
    let h = x.transposed.multiplied(by: x)
    let u = try LinearAlgebra.inverseFactor(h)
    for i in 0..<12 { for j in 0..<i { #expect(u.values[i * 12 + j] == 0) } }
    let unit = u.transposed.multiplied(by: u).multiplied(by: h)
    #expect((unit - .identity(12, .float64)).largestMagnitude < 1e-10)
    let singular = try LinearAlgebra.svd(h).s
    #expect(abs(try LinearAlgebra.largestEigenvalue(h) - singular[0]) < 1e-10 * singular[0])
    #expect(throws: LinearAlgebraError.self) { try LinearAlgebra.inverseFactor(h * -1) }
    #expect(throws: LinearAlgebraError.self) { try LinearAlgebra.largestEigenvalue(h * .infinity) }
  }
}
