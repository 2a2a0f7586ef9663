import CKernels

/// Four-bit codes of a matrix, ŵ = book[c]·a, with one peak a for every block of consecutive elements of the matrix, row by row.
///
/// NF4 of QLoRA [arXiv:2305.14314, §3]: the book holds quantiles of a normal distribution.
public struct NormalFloatCodes: Sendable {
  /// The peaks: as they are, or coded themselves.
  public enum Peaks: Sendable {
    /// One float a block.
    case floats(FrozenBytes)
    case nested(NestedPeaks)
  }

  public let rows: Int
  public let columns: Int
  public let blockSize: Int
  /// Two codes a byte, the even element in the high half; a rest is filled with the code of zero.
  public let packed: FrozenBytes
  public let peaks: Peaks

  /// The values of the codes, ascending.
  public static let book: [Float] = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
  ]
  /// The code of 0.
  public static let zero: UInt8 = 7

  public static func blocks(_ count: Int, _ size: Int) -> Int { (count + size - 1) / size }

  public var blocks: Int { Self.blocks(rows * columns, blockSize) }

  public var byteCount: Int {
    switch peaks {
    case .floats(let bytes): packed.count + bytes.count
    case .nested(let nested): packed.count + nested.byteCount
    }
  }

  /// Sizes must be those that the shape calls for; floats aligned to four bytes.
  public init(rows: Int, columns: Int, blockSize: Int, packed: FrozenBytes, peaks: Peaks) {
    precondition(blockSize > 0 && packed.count == (rows * columns + 1) / 2, "codes of another shape than [\(rows), \(columns)]")
    let count = Self.blocks(rows * columns, blockSize)
    switch peaks {
    case .floats(let bytes): precondition(bytes.count == 4 * count, "\(bytes.count) bytes for \(count) peaks")
    case .nested(let nested): precondition(nested.codes.count == count, "\(nested.codes.count) codes for \(count) peaks")
    }
    self.rows = rows
    self.columns = columns
    self.blockSize = blockSize
    self.packed = packed
    self.peaks = peaks
  }

  /// Packs codes [rows, columns], row-major.
  public init(rows: Int, columns: Int, blockSize: Int, codes: [UInt8], peaks: Peaks) {
    let packed = stride(from: 0, to: codes.count, by: 2).map { k in
      codes[k] << 4 | (k + 1 < codes.count ? codes[k + 1] : Self.zero)
    }
    self.init(rows: rows, columns: columns, blockSize: blockSize, packed: FrozenBytes(packed), peaks: peaks)
  }

  /// The codes, [rows, columns].
  public var codes: [UInt8] {
    let bytes = packed.array(of: UInt8.self)
    return (0..<rows * columns).map { $0 % 2 == 0 ? bytes[$0 / 2] >> 4 : bytes[$0 / 2] & 15 }
  }

  /// The peaks of blocks `range`, in double.
  public func peaks(_ range: Range<Int>) -> [Double] {
    switch peaks {
    case .floats(let bytes):
      let floats = bytes.pointer(to: Float.self)
      return range.map { Double(floats[$0]) }
    case .nested(let nested): return range.map { nested[$0] }
    }
  }

  func decode(_ range: Range<Int>, into tile: Tensor, from start: Int) {
    // Blocks ignore where rows end, so rows are a stretch of elements.
    let (first, count, place) = (range.lowerBound * columns, range.count * columns, start * columns)
    let peaks = peaks(first / blockSize..<(first + count - 1) / blockSize + 1)
    let codes = packed.pointer(to: UInt8.self)
    switch tile.scalar {
    case .float32:
      decode_nibbles_f32(tile.f32 + place, codes, Self.book, peaks.map { Float($0) }, first, blockSize, count)
    case .float64: decode_nibbles_f64(tile.f64 + place, codes, Self.book, peaks, first, blockSize, count)
    }
  }
}

/// Peaks in eight bits: a = map[c]·m + offset with one m for every 256 of them.
public struct NestedPeaks: Sendable {
  public static let blockSize = 256

  /// One byte a peak.
  public let codes: FrozenBytes
  /// One float for every 256 codes.
  public let peaks: FrozenBytes
  public let offset: Float
  /// 256 floats.
  public let map: FrozenBytes

  public var byteCount: Int { codes.count + peaks.count + map.count + 4 }

  public init(codes: FrozenBytes, peaks: FrozenBytes, offset: Float, map: FrozenBytes) {
    precondition(
      map.count == 1024 && peaks.count == 4 * NormalFloatCodes.blocks(codes.count, Self.blockSize), "nested peaks of another size"
    )
    self.codes = codes
    self.peaks = peaks
    self.offset = offset
    self.map = map
  }

  /// Peak `index`, in double.
  public subscript(index: Int) -> Double {
    let code = Int(codes.pointer(to: UInt8.self)[index])
    let peak = peaks.pointer(to: Float.self)[index / Self.blockSize]
    return Double(map.pointer(to: Float.self)[code]) * Double(peak) + Double(offset)
  }
}
