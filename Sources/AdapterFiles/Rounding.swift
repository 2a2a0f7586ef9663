import Files

/// Doubles rounded once to a file's number type.
enum Rounding {
  /// Floats that a conversion to `type` (F32, BF16, F16) turns into what rounding `values` at once would give.
  ///
  /// Halves round to odd on the way, so that the second rounding sees on which side of a tie the number lay.
  static func floats(_ values: [Double], for type: StoredType) -> [Float] {
    type == .f32 ? values.map { Float($0) } : values.map(odd)
  }

  /// Whether a number of that size still fits the type.
  static func fits(_ magnitude: Double, _ type: StoredType) -> Bool {
    switch type {
    case .f16: magnitude < 65_520
    case .bf16: magnitude < 0x1.FFp127
    case .f32: Float(magnitude).isFinite
    default: magnitude.isFinite
    }
  }

  private static func odd(_ value: Double) -> Float {
    let near = Float(value)
    guard Double(near) != value, near.bitPattern & 1 == 0, !value.isNaN else { return near }
    let isBelow = Double(near.magnitude) < value.magnitude
    // The sign of a number that underflowed is in `near` already.
    return Float(bitPattern: isBelow ? near.bitPattern + 1 : near.bitPattern - 1)
  }
}
