import Testing

struct KernelSource: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

func values(_ n: Int, _ range: ClosedRange<Float> = -3...3, seed: UInt64) -> [Float] {
  var source = KernelSource(state: seed)
  return (0..<n).map { _ in Float.random(in: range, using: &source) }
}

func wide(_ x: [Float]) -> [Double] { x.map(Double.init) }

/// The largest |a - b| / (1 + |b|).
func error<T: BinaryFloatingPoint>(_ a: [T], _ b: [Double]) -> Double {
  zip(a, b).map { abs(Double($0) - $1) / (1 + abs($1)) }.reduce(0) { $1 <= $0 ? $0 : $1.isNaN ? .infinity : $1 }
}

/// Runs one body with each of the three kernels and holds both float results against the double one.
func agree(
  _ name: String, tolerance: Double, fast: [Float], reference: [Float], double: [Double],
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(fast.count == double.count && reference.count == double.count, sourceLocation: sourceLocation)
  let (a, b) = (error(fast, double), error(reference, double))
  #expect(a <= tolerance, "\(name): fast", sourceLocation: sourceLocation)
  #expect(b <= tolerance, "\(name): reference", sourceLocation: sourceLocation)
}
