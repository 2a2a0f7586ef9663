/// Largest difference over the largest expected entry, or over `floor` if that is larger; infinite where something is not
/// a number.
func relativeError(of values: [Double], from expected: [Double], floor: Double) -> Double {
  guard values.count == expected.count else { return .infinity }
  var (difference, scale) = (0.0, floor)
  for (a, b) in zip(values, expected) {
    guard a.isFinite, b.isFinite else { return .infinity }
    difference = max(difference, abs(a - b))
    scale = max(scale, abs(b))
  }
  return difference / scale
}
