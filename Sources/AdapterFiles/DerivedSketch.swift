import Engine

/// A few numbers by which a tensor that is derived from the base anew can be told from another: turned signs, another basis, another
/// base. Rounding, which differs from machine to machine, hardly moves them; a checksum of rounded entries would break on it.
struct DerivedSketch: Hashable {
  static let count = 8

  /// Σ ± entry, each sum with signs of its own.
  var values: [Double]

  init(values: [Double]) { self.values = values }

  init(_ tensor: Tensor) {
    var random = Philox(key: 0x5ca1e)
    let entries = tensor.values
    var sums = [Double](repeating: 0, count: Self.count)
    for entry in entries {
      let signs = random.integer(below: 1 << Self.count)
      for k in 0..<Self.count { sums[k] += signs >> k & 1 == 0 ? entry : -entry }
    }
    values = sums
  }

  /// Whether the difference is no more than rounding makes of a tensor whose entries' squares sum to `energy`.
  func agrees(with other: DerivedSketch, energy: Double) -> Bool {
    zip(values, other.values).allSatisfy { abs($0 - $1) <= 1e-3 * max(energy.squareRoot(), 1) }
  }
}
