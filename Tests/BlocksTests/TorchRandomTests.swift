import Blocks
import Testing

/// Numbers of torch 2.15 on the CPU.
@Suite struct TorchRandomTests {
  @Test func words() {
    func words(_ seed: UInt64) -> [UInt32] {
      var random = TorchRandom(seed: seed)
      return (0..<4).map { _ in random.next32() }
    }
    #expect(words(777) == [655_685_735, 2_776_480_559, 1_298_611_771, 862_112_678])
    #expect(words(0) == [2_357_136_044, 2_546_248_239, 3_071_714_933, 3_626_093_760])
    // A seed counts by its low half.
    #expect(words(1 << 32 | 777) == words(777))
    #expect(words(TorchRandom.defaultSeed) == words(4_053_586_177))
  }

  @Test func permutations() {
    func permutation(_ count: Int, _ bound: Int, _ seed: UInt64) -> [Int] {
      var random = TorchRandom(seed: seed)
      return random.permutation(count, of: bound)
    }
    #expect(permutation(10, 10, 777) == [5, 9, 0, 3, 1, 7, 4, 8, 6, 2])
    #expect(permutation(8, 320, 777) == [295, 260, 261, 115, 131, 232, 13, 297])
    #expect(permutation(320, 320, 777).sorted() == Array(0..<320))
    #expect(permutation(1, 1, 5) == [0] && permutation(0, 7, 5).isEmpty)
  }

  @Test func uniforms() {
    var random = TorchRandom(seed: 0)
    #expect(
      random.uniform(4, in: -0.25..<0.75) == [
        0.24625658988952637, 0.5182217955589294, -0.16152256727218628, -0.11796951293945312,
      ])
  }

  @Test func roundingIsToEven() {
    #expect((1 + Float(0x1p-8)).asBFloat16 == 1)
    #expect((1 + Float(3) * 0x1p-8).asBFloat16 == 1 + Float(0x1p-6))
    #expect((1 + Float(0x1p-8) + 0x1p-20).asBFloat16 == 1 + Float(0x1p-7))
    #expect(Float.infinity.asBFloat16 == .infinity && Float(-0.5).asBFloat16 == -0.5)
  }
}
