/// The number formats weights are stored in.
public enum WeightType: Sendable, Hashable {
  case float32
  case float16
  case bfloat16
  case float64

  public var byteCount: Int {
    switch self {
    case .float64: 8
    case .float32: 4
    case .float16, .bfloat16: 2
    }
  }
}

/// A weight `[rows, columns]` that is never trained: it stays where and as it is stored and is widened by tile.
public struct FrozenMatrix: Sendable {
  public let rows: Int
  public let columns: Int
  public let type: WeightType
  /// Whether memory holds the transpose, `[columns, rows]` (GPT-2 stores its maps so).
  public let isTransposed: Bool
  let storage: Storage

  /// A matrix in memory that somebody else owns, such as a mapped file; `owner` is kept alive.
  ///
  /// `bytes` must hold exactly rows · columns numbers, aligned to their size.
  public init(
    borrowing bytes: UnsafeRawBufferPointer, type: WeightType, rows: Int, columns: Int, isTransposed: Bool = false,
    owner: AnyObject
  ) {
    precondition(bytes.count == rows * columns * type.byteCount, "\(bytes.count) bytes for a [\(rows), \(columns)] matrix")
    self.rows = rows
    self.columns = columns
    self.type = type
    self.isTransposed = isTransposed
    // Storage is read-only here: nothing in this type writes.
    storage = Storage(
      borrowing: UnsafeMutableRawPointer(mutating: bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 64)!),
      byteCount: bytes.count, owner: owner)
  }

  /// The values of a tensor `[rows, columns]`, or of the transpose of that, shared with it.
  public init(_ tensor: Tensor, isTransposed: Bool = false) {
    precondition(tensor.rank == 2 && tensor.offset == 0, "a matrix has two axes, not \(tensor.shape)")
    rows = tensor.shape[isTransposed ? 1 : 0]
    columns = tensor.shape[isTransposed ? 0 : 1]
    type = tensor.scalar == .float32 ? .float32 : .float64
    self.isTransposed = isTransposed
    storage = tensor.storage
  }

  public var byteCount: Int { rows * columns * type.byteCount }

  /// Whether products can read the stored numbers directly.
  func isNative(_ scalar: ScalarType) -> Bool {
    (scalar == .float32 && type == .float32) || (scalar == .float64 && type == .float64)
  }

  /// Numbers per stored line.
  var stride: Int { isTransposed ? rows : columns }

  func address(line: Int) -> UnsafeRawPointer { UnsafeRawPointer(storage.address) + line * stride * type.byteCount }

  /// Stored lines `range` (rows, or columns where the storage is transposed), widened.
  func widened(lines range: Range<Int>, as scalar: ScalarType) -> Tensor {
    let tile = Tensor(uninitialized: [range.count, stride], scalar)
    Convert.widen(address(line: range.lowerBound), type, into: tile)
    return tile
  }

  /// Rows `range` as a tensor `[range.count, columns]`.
  public func dense(rows range: Range<Int>, as scalar: ScalarType = .float32) -> Tensor {
    guard isTransposed else { return widened(lines: range, as: scalar) }
    guard range != 0..<rows else { return widened(lines: 0..<columns, as: scalar).transposed }
    let part = Tensor(uninitialized: [columns, range.count], scalar)
    for line in 0..<columns {
      Convert.widen(
        address(line: line) + range.lowerBound * type.byteCount, type, into: part.view(line * range.count, [range.count]))
    }
    return part.transposed
  }

  /// The numbers in the order they are stored, widened: `[columns, rows]` where `isTransposed`. A copy.
  public func stored(as scalar: ScalarType = .float32) -> Tensor {
    widened(lines: 0..<(isTransposed ? columns : rows), as: scalar)
  }

  /// The whole matrix as a tensor `[rows, columns]`.
  public func dense(as scalar: ScalarType = .float32) -> Tensor { dense(rows: 0..<rows, as: scalar) }

  /// Calls `body` with tiles that cover the stored lines, in a form products can read.
  ///
  /// A native matrix is one tile; others are widened about four megabytes at a time.
  func forEachTile(_ scalar: ScalarType, _ body: (_ lines: Range<Int>, _ address: UnsafeRawPointer) -> Void) {
    let lines = isTransposed ? columns : rows
    if isNative(scalar) { return body(0..<lines, address(line: 0)) }
    let height = max(64, (4 << 20) / (stride * scalar.byteCount) / 64 * 64)
    var start = 0
    while start < lines {
      let range = start..<min(lines, start + height)
      let tile = widened(lines: range, as: scalar)
      body(range, tile.address())
      start = range.upperBound
    }
  }
}
