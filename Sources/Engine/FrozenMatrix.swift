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

/// A weight `[rows, columns]` that is never trained: it stays where and as it is stored, in few bits even, and is widened by tile.
public struct FrozenMatrix: Sendable {
  public let rows: Int
  public let columns: Int
  /// Whether files hold the transpose, `[columns, rows]` (GPT-2 stores its maps so). Memory holds it too, unless the matrix
  /// is coded: codes go by rows.
  public let isTransposed: Bool
  let content: Content

  enum Content: Sendable {
    case numbers(WeightType, Storage)
    case codes(WeightCodes)
  }

  /// A matrix in memory that somebody else owns, such as a mapped file; `owner` is kept alive.
  ///
  /// `bytes` must hold exactly rows · columns numbers, aligned to their size.
  public init(
    borrowing bytes: UnsafeRawBufferPointer, type: WeightType, rows: Int, columns: Int, isTransposed: Bool = false,
    owner: AnyObject
  ) {
    self.init(
      FrozenBytes(borrowing: bytes, owner: owner), type: type, rows: rows, columns: columns, isTransposed: isTransposed)
  }

  /// The same of bytes that are kept already.
  public init(_ bytes: FrozenBytes, type: WeightType, rows: Int, columns: Int, isTransposed: Bool = false) {
    precondition(bytes.count == rows * columns * type.byteCount, "\(bytes.count) bytes for a [\(rows), \(columns)] matrix")
    self.rows = rows
    self.columns = columns
    self.isTransposed = isTransposed
    content = .numbers(type, bytes.storage)
  }

  /// The values of a tensor `[rows, columns]`, or of the transpose of that, shared with it.
  public init(_ tensor: Tensor, isTransposed: Bool = false) {
    precondition(tensor.rank == 2 && tensor.offset == 0, "a matrix has two axes, not \(tensor.shape)")
    rows = tensor.shape[isTransposed ? 1 : 0]
    columns = tensor.shape[isTransposed ? 0 : 1]
    self.isTransposed = isTransposed
    content = .numbers(tensor.scalar == .float32 ? .float32 : .float64, tensor.storage)
  }

  /// A matrix in few bits; `isTransposed` says how files hold the numbers it was made from.
  public init(_ codes: WeightCodes, isTransposed: Bool = false) {
    rows = codes.rows
    columns = codes.columns
    self.isTransposed = isTransposed
    content = .codes(codes)
  }

  /// The transpose [columns, rows] of a matrix of numbers, which stay where they are. What is coded goes by rows alone.
  public var transposed: FrozenMatrix {
    guard case .numbers(let type, let storage) = content else { preconditionFailure("codes go by rows") }
    return FrozenMatrix(
      rows: columns, columns: rows, isTransposed: !isTransposed, content: .numbers(type, storage))
  }

  private init(rows: Int, columns: Int, isTransposed: Bool, content: Content) {
    self.rows = rows
    self.columns = columns
    self.isTransposed = isTransposed
    self.content = content
  }

  /// The codes of a matrix in few bits.
  public var codes: WeightCodes? {
    guard case .codes(let codes) = content else { return nil }
    return codes
  }

  public var isQuantized: Bool { codes != nil }

  /// What the matrix takes in memory, or in its file.
  public var byteCount: Int {
    switch content {
    case .numbers(let type, _): rows * columns * type.byteCount
    case .codes(let codes): codes.byteCount
    }
  }

  /// Whether memory goes by columns.
  var hasColumnLines: Bool { isTransposed && !isQuantized }

  /// Numbers per stored line.
  var stride: Int { hasColumnLines ? rows : columns }

  /// The stored numbers, where products can read them directly.
  private func native(_ scalar: ScalarType) -> UnsafeRawPointer? {
    guard case .numbers(let type, let storage) = content else { return nil }
    guard type == (scalar == .float32 ? .float32 : .float64) else { return nil }
    return UnsafeRawPointer(storage.address)
  }

  /// Stored lines `range` (rows, or columns where the storage is transposed), widened.
  func widened(lines range: Range<Int>, as scalar: ScalarType) -> Tensor {
    let tile = Tensor(uninitialized: [range.count, stride], scalar)
    widen(lines: range, into: tile)
    return tile
  }

  /// The same into memory that is there.
  func widen(lines range: Range<Int>, into tile: Tensor) {
    switch content {
    case .numbers(let type, let storage):
      Convert.widen(UnsafeRawPointer(storage.address) + range.lowerBound * stride * type.byteCount, type, into: tile)
    case .codes(let codes):
      Threads.split(range.count, cost: columns) { part in
        codes.decode(range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound, into: tile, from: part.lowerBound)
      }
    }
  }

  /// Rows `range` as a tensor `[range.count, columns]`.
  public func dense(rows range: Range<Int>, as scalar: ScalarType = .float32) -> Tensor {
    guard hasColumnLines, case .numbers(let type, let storage) = content else { return widened(lines: range, as: scalar) }
    guard range != 0..<rows else { return widened(lines: 0..<columns, as: scalar).transposed }
    // Of every stored line the part that belongs to these rows: never the whole, which callers of tiles must not hold.
    let part = Tensor(uninitialized: [columns, range.count], scalar)
    for line in 0..<columns {
      Convert.widen(
        UnsafeRawPointer(storage.address) + (line * stride + range.lowerBound) * type.byteCount, type,
        into: part.view(line * range.count, [range.count]))
    }
    return part.transposed
  }

  /// The numbers in the order files hold them, widened: `[columns, rows]` where `isTransposed`. A copy.
  public func stored(as scalar: ScalarType = .float32) -> Tensor {
    let lines = widened(lines: 0..<(hasColumnLines ? columns : rows), as: scalar)
    return isTransposed == hasColumnLines ? lines : lines.transposed
  }

  /// The whole matrix as a tensor `[rows, columns]`.
  public func dense(as scalar: ScalarType = .float32) -> Tensor { dense(rows: 0..<rows, as: scalar) }

  /// Calls `body` with tiles that cover the stored lines, in a form products can read.
  ///
  /// A native matrix is one tile; others are widened about four megabytes at a time.
  func forEachTile(_ scalar: ScalarType, _ body: (_ lines: Range<Int>, _ address: UnsafeRawPointer) -> Void) {
    let lines = hasColumnLines ? columns : rows
    if let numbers = native(scalar) { return body(0..<lines, numbers) }
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
