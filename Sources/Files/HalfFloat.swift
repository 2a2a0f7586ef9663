/// The two 16-bit floating types, by their bits.
///
/// `Float16` does not exist on Intel Macs, and its conversions call into a library where the processor is not known to have them;
/// these compile to a handful of instructions that vectorise. Subnormals, infinities and the quiet part of NaNs are kept.
public enum HalfFloat {
  @inline(__always)
  public static func float(bf16 bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  @inline(__always)
  public static func float(f16 bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let magnitude = UInt32(bits & 0x7FFF) << 13
    // The exponent now counts from the wrong end; a product with 2^112 sets that right and normalises subnormals.
    let scaled = (Float(bitPattern: magnitude) * 0x1p112).bitPattern
    // Infinity and NaN have the largest exponent in both types.
    let special: UInt32 = magnitude >= 0x0F80_0000 ? 0x7F80_0000 : 0
    return Float(bitPattern: sign | scaled | special)
  }

  /// Rounds to the nearest, ties to even.
  @inline(__always)
  public static func bf16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x0040 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
  }

  /// Rounds to the nearest, ties to even; beyond 65 504 (65 520 after rounding) to infinity.
  @inline(__always)
  public static func f16(_ value: Float) -> UInt16 {
    let sign = UInt16(truncatingIfNeeded: (value.bitPattern >> 16) & 0x8000)
    let magnitude = value.bitPattern & 0x7FFF_FFFF
    if magnitude >= 0x4780_0000 {
      let payload = UInt16(truncatingIfNeeded: (magnitude >> 13) & 0x03FF)
      return sign | (value.isNaN ? 0x7E00 | payload : 0x7C00)
    }
    if magnitude < 0x3880_0000 {
      // Below 2^-14 a unit is 2^-24, as it is for floats from a half to one: adding a half rounds.
      let shifted = (Float(bitPattern: magnitude) + 0.5).bitPattern &- Float(0.5).bitPattern
      return sign | UInt16(truncatingIfNeeded: shifted)
    }
    let rounded = magnitude &- (112 << 23) &+ 0x0FFF &+ ((magnitude >> 13) & 1)
    return sign | UInt16(truncatingIfNeeded: rounded >> 13)
  }
}
