import Testing

@testable import UniLoRA

/// Numbers that NumPy 2 drew.
@Suite struct NumPyRandomTests {
  @Test func seeds() {
    #expect(
      NumPyRandom.seedSequence(42) == [
        0x9f1e_2e6d_cd54_0ab7, 0xd578_73dc_79fb_94b6, 0x7d28_2a1b_64d4_20b7, 0x3365_7971_4692_d5ff,
      ])
  }

  @Test func words() {
    var source = NumPyRandom(seed: 42)
    #expect(
      (0..<3).map { _ in source.next64() } == [14_276_969_152_011_380_360, 8_095_878_257_575_067_585, 15_838_336_090_824_644_132])
    source = NumPyRandom(seed: 42)
    #expect((0..<4).map { _ in source.next32() } == [383_329_928, 3_324_115_917, 2_811_363_265, 1_884_968_545])
  }

  @Test func draws() {
    var source = NumPyRandom(seed: 42)
    #expect(source.choice(7, of: 33) == [32, 27, 13, 18, 2, 21, 30])
    source = NumPyRandom(seed: 42)
    var list = Array(Int32(0)..<8)
    source.shuffle(&list)
    #expect(list == [3, 4, 2, 7, 6, 1, 5, 0])
  }

  /// PEFT's index maps.
  @Test func indexLists() {
    var source = NumPyRandom(seed: 42)
    #expect(Assignment.balanced(10, 4, &source) == [0, 3, 3, 3, 0, 1, 2, 1, 2, 0])
    source = NumPyRandom(seed: 42)
    #expect(Assignment.balanced(336, 33, &source).prefix(12) == [12, 4, 0, 2, 25, 6, 12, 14, 32, 18, 26, 23])
  }
}
