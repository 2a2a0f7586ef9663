import CKernels

/// A Walsh–Hadamard transform of rows of `inputs` numbers, n' = `size` ≥ n = `inputs`:
///
///     P = H[:, 0..<n]/√n' [n', n],   H·Hᵀ = n'·I,   PᵀP = I
///
/// H = H_K ⊗ H_{2^a} with a Sylvester part 2^a and a Paley matrix of order K = `order` (1 for powers of two), so a transform
/// costs n'·(a + K) additions. P·Pᵀ = I only where n' = n; n' is the smallest size from n on that has such a matrix.
public struct Hadamard: Sendable {
  public let inputs: Int
  public let size: Int
  public let order: Int
  /// H_K [order, order] of ±1, row-major; empty where order is 1.
  public let base: [Float]
  private let wideBase: [Double]

  public init(inputs: Int) {
    precondition(inputs > 0, "a Hadamard matrix of size \(inputs)")
    var size = inputs
    var order = Self.order(of: size)
    while order == nil {
      size += 1
      order = Self.order(of: size)
    }
    let base = Paley.matrix(order ?? 1)
    self.inputs = inputs
    self.size = size
    self.order = order ?? 1
    self.base = base
    wideBase = base.map(Double.init)
  }

  /// n', without the matrix.
  public static func size(for inputs: Int) -> Int {
    var size = max(1, inputs)
    while order(of: size) == nil { size += 1 }
    return size
  }

  /// K of n = K·2^a: 1 for powers of two, else the first of odd·4, odd·8, … ≤ 256 that has a Paley matrix.
  static func order(of n: Int) -> Int? {
    let twos = n.trailingZeroBitCount
    let odd = n >> twos
    guard odd > 1 else { return 1 }
    guard twos >= 2 else { return nil }
    for t in 2...twos {
      guard odd << t <= 256 else { return nil }
      if Paley.kind(odd << t) != nil { return odd << t }
    }
    return nil
  }

  /// Writes scale·x·Hᵀ (to columns of y), or scale·x·H, or adds it to y.
  fileprivate func apply(_ x: Tensor, into y: Tensor, scale: Double, transposed: Bool, accumulate: Bool) {
    let (from, to) = (x.columns, y.columns)
    Threads.split(x.rows, cost: size * (order == 1 ? 4 : 4 + order / 8)) { r in
      let scratch = Tensor(uninitialized: [size], x.scalar)
      let (i, o) = (r.lowerBound * from, r.lowerBound * to)
      switch x.scalar {
      case .float32:
        hadamard_f32(
          y.f32 + o, accumulate ? 1 : 0, x.f32 + i, base, transposed ? 1 : 0, Float(scale), scratch.f32, r.count, from, to,
          order, size)
      case .float64:
        hadamard_f64(
          y.f64 + o, accumulate ? 1 : 0, x.f64 + i, wideBase, transposed ? 1 : 0, scale, scratch.f64, r.count, from, to,
          order, size)
      }
    }
  }
}

extension Tensor {
  /// x·Pᵀ for rows x [T, n]: [T, n'].
  public func hadamard(_ transform: Hadamard) -> Tensor {
    precondition(columns == transform.inputs, "a transform of \(transform.inputs) numbers on rows of \(columns)")
    return transformed(by: transform, to: transform.size, transposed: false)
  }

  /// z·P for rows z [T, n']: [T, n], the adjoint of `hadamard`, and its inverse where n' = n.
  public func hadamardTransposed(_ transform: Hadamard) -> Tensor {
    precondition(columns == transform.size, "a transform of \(transform.size) coefficients on rows of \(columns)")
    return transformed(by: transform, to: transform.inputs, transposed: true)
  }

  private func transformed(by transform: Hadamard, to width: Int, transposed: Bool) -> Tensor {
    let scale = 1 / Double(transform.size).squareRoot()
    let y = Tensor(uninitialized: shape.dropLast() + [width], scalar)
    transform.apply(self, into: y, scale: scale, transposed: transposed, accumulate: false)
    return y.recorded([self]) { [node] dy, gradients in
      gradients.into(node) { dx, accumulate in
        transform.apply(dy, into: dx, scale: scale, transposed: !transposed, accumulate: accumulate)
      }
    }
  }
}

/// Hadamard matrices from the quadratic residues of a prime q: of order q + 1 for q ≡ 3, of order 2(q + 1) for q ≡ 1 (mod 4).
enum Paley {
  enum Kind {
    case first(prime: Int)
    case second(prime: Int)
  }

  static func kind(_ order: Int) -> Kind? {
    if isPrime(order - 1), (order - 1) % 4 == 3 { return .first(prime: order - 1) }
    let q = order / 2 - 1
    return order % 2 == 0 && isPrime(q) && q % 4 == 1 ? .second(prime: q) : nil
  }

  /// H_K, row-major; empty for orders that have none, and for 1.
  static func matrix(_ order: Int) -> [Float] {
    switch kind(order) {
    case .first(let q):
      var h = conference(q, corner: -1)
      for i in 0...q { h[i * (q + 1) + i] += 1 }
      return h
    case .second(let q):
      // S ⊗ [[1, 1], [1, −1]] + I ⊗ [[1, −1], [−1, −1]].
      let s = conference(q, corner: 1)
      return (0..<order * order).map { place in
        let (i, j) = (place / order, place % order)
        let (left, right): (Float, Float) = (i % 2 == 1 && j % 2 == 1 ? -1 : 1, i % 2 == 0 && j % 2 == 0 ? 1 : -1)
        return s[i / 2 * (q + 1) + j / 2] * left + (i / 2 == j / 2 ? right : 0)
      }
    case nil: return []
    }
  }

  /// S [q+1, q+1]: 0 on the diagonal, 1 in the rest of row 0, `corner` in the rest of column 0, inside χ(a − b).
  private static func conference(_ q: Int, corner: Float) -> [Float] {
    var character = [Float](repeating: -1, count: q)
    for x in 1..<q { character[x * x % q] = 1 }
    character[0] = 0
    var s = [Float](repeating: 0, count: (q + 1) * (q + 1))
    for a in 0..<q {
      s[a + 1] = 1
      s[(a + 1) * (q + 1)] = corner
      for b in 0..<q { s[(a + 1) * (q + 1) + b + 1] = character[(a - b + q) % q] }
    }
    return s
  }

  private static func isPrime(_ n: Int) -> Bool {
    guard n > 1 else { return false }
    var d = 2
    while d * d <= n {
      if n % d == 0 { return false }
      d += 1
    }
    return true
  }
}
