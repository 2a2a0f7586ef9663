/// The scalar a tensor computes in: `Float` for work, `Double` for gradient checks.
public enum ScalarType: Sendable, Hashable {
  case float32
  case float64

  public var byteCount: Int { self == .float32 ? 4 : 8 }
}

/// A dense row-major array with a gradient history.
///
/// The scalar type is a run-time property that operations keep, so a method is written once and checked in double.
/// Values are immutable; an operation that involves a tensor with history records how to differentiate itself, one
/// that does not records and keeps nothing: frozen inputs cost no memory.
public struct Tensor: Sendable {
  public let shape: [Int]
  public let scalar: ScalarType
  var storage: Storage
  /// First element within the storage.
  let offset: Int
  /// How this value came about, `nil` for constants.
  var node: Node?

  init(shape: [Int], scalar: ScalarType, storage: Storage, offset: Int = 0, node: Node? = nil) {
    self.shape = shape
    self.scalar = scalar
    self.storage = storage
    self.offset = offset
    self.node = node
  }

  /// A tensor whose contents are whatever the memory held; for operations that write every element.
  init(uninitialized shape: [Int], _ scalar: ScalarType) {
    let count = shape.reduce(1, *)
    self.init(shape: shape, scalar: scalar, storage: Storage(byteCount: count * scalar.byteCount))
  }

  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * scalar.byteCount }
  public var rank: Int { shape.count }
  /// Rows of the matrix view: every axis but the last.
  public var rows: Int { shape.isEmpty ? 1 : shape.dropLast().reduce(1, *) }
  /// Length of the last axis.
  public var columns: Int { shape.last ?? 1 }
  /// Whether an operation on this tensor is differentiated.
  public var hasHistory: Bool { node != nil }

  var f32: UnsafeMutablePointer<Float> {
    assert(scalar == .float32)
    return storage.address.assumingMemoryBound(to: Float.self) + offset
  }

  var f64: UnsafeMutablePointer<Double> {
    assert(scalar == .float64)
    return storage.address.assumingMemoryBound(to: Double.self) + offset
  }

  /// The address of element `index`, of whichever scalar.
  func address(_ index: Int = 0) -> UnsafeMutableRawPointer {
    storage.address + (offset + index) * scalar.byteCount
  }
}

// Making and reading.
extension Tensor {
  public init(_ values: [Double], shape: [Int]? = nil, _ scalar: ScalarType = .float32) {
    let shape = shape ?? [values.count]
    precondition(shape.reduce(1, *) == values.count, "\(values.count) values do not fill shape \(shape)")
    self.init(uninitialized: shape, scalar)
    switch scalar {
    case .float32: for (i, value) in values.enumerated() { f32[i] = Float(value) }
    case .float64: for (i, value) in values.enumerated() { f64[i] = value }
    }
  }

  public init(_ values: [Float], shape: [Int]? = nil) {
    let shape = shape ?? [values.count]
    precondition(shape.reduce(1, *) == values.count, "\(values.count) values do not fill shape \(shape)")
    self.init(uninitialized: shape, .float32)
    values.withUnsafeBufferPointer { f32.update(from: $0.baseAddress!, count: values.count) }
  }

  public init(repeating value: Double, shape: [Int], _ scalar: ScalarType = .float32) {
    self.init(uninitialized: shape, scalar)
    fill(value)
  }

  public static func zeros(_ shape: [Int], _ scalar: ScalarType = .float32) -> Tensor {
    Tensor(repeating: 0, shape: shape, scalar)
  }

  public static func identity(_ n: Int, _ scalar: ScalarType = .float32) -> Tensor {
    var values = [Double](repeating: 0, count: n * n)
    for i in 0..<n { values[i * n + i] = 1 }
    return Tensor(values, shape: [n, n], scalar)
  }

  /// The elements, row-major, as doubles.
  public var values: [Double] {
    switch scalar {
    case .float32: (0..<count).map { Double(f32[$0]) }
    case .float64: (0..<count).map { f64[$0] }
    }
  }

  /// The elements, row-major, as floats.
  public var floats: [Float] {
    switch scalar {
    case .float32: Array(UnsafeBufferPointer(start: f32, count: count))
    case .float64: (0..<count).map { Float(f64[$0]) }
    }
  }

  /// The only element.
  public var item: Double {
    precondition(count == 1, "item of a tensor of shape \(shape)")
    return scalar == .float32 ? Double(f32[0]) : f64[0]
  }

  /// Calls `body` with the raw bytes of the elements, row-major.
  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try body(UnsafeRawBufferPointer(start: address(), count: count * scalar.byteCount))
  }

  /// Writes in place; only for owners who know that nobody else reads the storage (optimizers, accumulators).
  public func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
    try body(UnsafeMutableRawBufferPointer(start: address(), count: count * scalar.byteCount))
  }

  func fill(_ value: Double) {
    switch scalar {
    case .float32: f32.update(repeating: Float(value), count: count)
    case .float64: f64.update(repeating: value, count: count)
    }
  }

  /// A tensor of the same values in memory of its own, without history.
  public func copied() -> Tensor {
    let copy = Tensor(uninitialized: shape, scalar)
    copy.address().copyMemory(from: address(), byteCount: count * scalar.byteCount)
    return copy
  }

  /// Whether this is the very value that `other` is: the same memory and the same history.
  public func isSame(as other: Tensor) -> Bool {
    storage === other.storage && offset == other.offset && node === other.node && shape == other.shape
  }

  /// The same values without history.
  public var detached: Tensor { Tensor(shape: shape, scalar: scalar, storage: storage, offset: offset) }

  /// The same values in another scalar, without history.
  public func converted(to scalar: ScalarType) -> Tensor {
    guard scalar != self.scalar else { return detached }
    let result = Tensor(uninitialized: shape, scalar)
    switch scalar {
    case .float32: for i in 0..<count { result.f32[i] = Float(f64[i]) }
    case .float64: for i in 0..<count { result.f64[i] = Double(f32[i]) }
    }
    return result
  }
}
