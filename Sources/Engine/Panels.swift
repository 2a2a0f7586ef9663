import CKernels

/// A matrix [depth, columns] of attention's size, copied into the order in which a product from the left reads it.
struct Panels {
  /// What a product need not compute, as the queries see only positions up to their own.
  enum Causal: Int32 {
    case no = 0
    /// C[i, j] where j > first + i may be left as it is.
    case columns = 1
    /// A[i, l] is 0 where l > first + i.
    case depth = 2
    /// A[i, l] is 0 where i > first + l.
    case rows = 3
  }

  /// The same, for what lies `window` or more positions back as well, where that is not 0.
  struct Sight {
    var causal = Causal.no
    var first = 0
    var window = 0
  }

  let depth: Int
  let columns: Int
  private let content: Tensor

  /// Of x the rows `rows` and the columns `place`, or the transpose of that.
  init(_ x: Tensor, rows: Range<Int>, columns place: Range<Int>, transposed: Bool = false) {
    (depth, columns) = transposed ? (place.count, rows.count) : (rows.count, place.count)
    content = Tensor(uninitialized: [(columns + 31) / 32, depth, 32], x.scalar)
    let at = rows.lowerBound * x.columns + place.lowerBound
    switch x.scalar {
    case .float32: pack_panels_f32(content.f32, x.f32 + at, x.columns, transposed ? 1 : 0, depth, columns)
    case .float64: pack_panels_f64(content.f64, x.f64 + at, x.columns, transposed ? 1 : 0, depth, columns)
    }
  }

  /// Where the panel begins in which a column stands.
  static func begin(of column: Int) -> Int { column / 32 * 32 }

  /// C ← A·B, or C + A·B, with A [rows, depth], of B the rows `depth` and the columns `columns` (from a panel's first on), and C
  /// at `c` with rows `stride` apart. `a` starts at A's first number; where it is `transposed`, memory holds Aᵀ.
  func multiplied(
    from a: BLAS.Operand, rows: Int, depth: Range<Int>? = nil, columns: Range<Int>? = nil, sight: Sight = Sight(),
    into c: UnsafeMutableRawPointer, stride: Int, accumulate: Bool = false
  ) {
    let (depth, columns) = (depth ?? 0..<self.depth, columns ?? 0..<self.columns)
    assert(Self.begin(of: columns.lowerBound) == columns.lowerBound)
    let (row, column) = a.transposed ? (1, a.stride) : (a.stride, 1)
    let start = columns.lowerBound * self.depth + depth.lowerBound * 32
    switch content.scalar {
    case .float32:
      panel_product_f32(
        c.assumingMemoryBound(to: Float.self), stride, accumulate ? 1 : 0, a.address.assumingMemoryBound(to: Float.self), row,
        column, content.f32 + start, self.depth, rows, columns.count, depth.count, sight.causal.rawValue, sight.first,
        sight.window)
    case .float64:
      panel_product_f64(
        c.assumingMemoryBound(to: Double.self), stride, accumulate ? 1 : 0, a.address.assumingMemoryBound(to: Double.self), row,
        column, content.f64 + start, self.depth, rows, columns.count, depth.count, sight.causal.rawValue, sight.first,
        sight.window)
    }
  }
}
