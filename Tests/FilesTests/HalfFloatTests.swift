import Files
import Testing

@Suite struct HalfFloatTests {
  #if !(os(macOS) && arch(x86_64))
    /// Against the compiler's own type: every pattern one way, and all halves' neighbours and midpoints the other.
    @Test func agreesWithFloat16() {
      var wrong = 0
      for bits in UInt16.min...UInt16.max {
        let half = Float16(bitPattern: bits)
        let float = HalfFloat.float(f16: bits)
        if half.isNaN {
          if !float.isNaN || !Float16(bitPattern: HalfFloat.f16(float)).isNaN { wrong += 1 }
          continue
        }
        if float.bitPattern != Float(half).bitPattern { wrong += 1 }
        let middle = (float + Float(half.nextUp)) / 2
        for value in [float, float.nextUp, float.nextDown, middle, middle.nextUp, middle.nextDown] where !value.isNaN {
          if HalfFloat.f16(value) != Float16(value).bitPattern { wrong += 1 }
        }
      }
      #expect(wrong == 0)
    }
  #endif

  @Test func bf16RoundsToNearestEven() {
    func back(_ value: Float) -> Float { HalfFloat.float(bf16: HalfFloat.bf16(value)) }
    let unit: Float = 0x1p-7
    #expect(back(1 + unit / 2) == 1)
    #expect(back((1 + unit / 2).nextUp) == 1 + unit)
    #expect(back(1 + unit * 1.5) == 1 + 2 * unit)
    #expect(back(-1 - unit / 2) == -1)
    #expect(back(.greatestFiniteMagnitude) == .infinity)
    #expect(back(-.infinity) == -.infinity)
    #expect(back(.nan).isNaN)
    #expect(back(Float(bitPattern: 0x7F80_0001)).isNaN)
    #expect(HalfFloat.bf16(-0.0) == 0x8000)
    for bits in UInt16.min...UInt16.max where !HalfFloat.float(bf16: bits).isNaN {
      #expect(HalfFloat.bf16(HalfFloat.float(bf16: bits)) == bits)
    }
  }
}
