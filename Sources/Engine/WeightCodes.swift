import CKernels

/// A matrix in few bits.
public enum WeightCodes: Sendable {
  case grid(GridCodes)
  case normalFloat(NormalFloatCodes)

  public var rows: Int {
    switch self {
    case .grid(let codes): codes.rows
    case .normalFloat(let codes): codes.rows
    }
  }

  public var columns: Int {
    switch self {
    case .grid(let codes): codes.columns
    case .normalFloat(let codes): codes.columns
    }
  }

  /// Everything that decoding reads.
  public var byteCount: Int {
    switch self {
    case .grid(let codes): codes.byteCount
    case .normalFloat(let codes): codes.byteCount
    }
  }

  /// Writes the values of rows `range` to `tile` [·, columns], from its row `start` on.
  func decode(_ range: Range<Int>, into tile: Tensor, from start: Int = 0) {
    guard !range.isEmpty, columns > 0 else { return }
    switch self {
    case .grid(let codes): codes.decode(range, into: tile, from: start)
    case .normalFloat(let codes): codes.decode(range, into: tile, from: start)
    }
  }
}

/// Integer codes of a matrix: ŵ = (q − z)·s with a scale s and a zero z for every row and group of columns.
public struct GridCodes: Sendable {
  public let rows: Int
  public let columns: Int
  /// 2, 3, 4 or 8.
  public let bits: Int
  /// Divides `columns`.
  public let groupSize: Int
  /// [rows, ⌈columns·bits/32⌉] words: code k of a row has its bits k·bits ..< (k + 1)·bits, lowest first.
  public let packed: FrozenBytes
  /// [rows, groups] floats.
  public let scales: FrozenBytes
  /// [rows, groups] bytes.
  public let zeros: FrozenBytes

  public static let bitWidths = [2, 3, 4, 8]

  public var groups: Int { columns / groupSize }
  var words: Int { Self.words(columns, bits) }
  public var byteCount: Int { packed.count + scales.count + zeros.count }

  /// Words of a row of that many codes.
  public static func words(_ count: Int, _ bits: Int) -> Int { (count * bits + 31) / 32 }

  /// `packed` and `scales` must be aligned to four bytes, and all three of the size the shape calls for.
  public init(
    rows: Int, columns: Int, bits: Int, groupSize: Int, packed: FrozenBytes, scales: FrozenBytes, zeros: FrozenBytes
  ) {
    precondition(
      Self.bitWidths.contains(bits) && groupSize > 0 && columns % groupSize == 0, "\(bits) bits, groups of \(groupSize)")
    let groups = columns / groupSize
    precondition(
      packed.count == rows * Self.words(columns, bits) * 4 && scales.count == rows * groups * 4 && zeros.count == rows * groups,
      "codes of another shape than [\(rows), \(columns)]")
    self.rows = rows
    self.columns = columns
    self.bits = bits
    self.groupSize = groupSize
    self.packed = packed
    self.scales = scales
    self.zeros = zeros
  }

  /// Packs codes [rows, columns], row-major.
  public init(
    rows: Int, columns: Int, bits: Int, groupSize: Int, codes: [UInt8], scales: [Float], zeros: [UInt8]
  ) {
    self.init(
      rows: rows, columns: columns, bits: bits, groupSize: groupSize,
      packed: FrozenBytes(BitStream.packed(codes, rows: rows, bits: bits)), scales: FrozenBytes(scales), zeros: FrozenBytes(zeros)
    )
  }

  /// The codes, [rows, columns].
  public var codes: [UInt8] { BitStream.unpacked(packed.array(of: UInt32.self), rows: rows, count: columns, bits: bits) }

  func decode(_ range: Range<Int>, into tile: Tensor, from start: Int) {
    for (i, row) in range.enumerated() {
      let codes = packed.pointer(to: UInt32.self) + row * words
      let scales = scales.pointer(to: Float.self) + row * groups
      let zeros = zeros.pointer(to: UInt8.self) + row * groups
      let place = (start + i) * columns
      switch tile.scalar {
      case .float32: decode_grid_f32(tile.f32 + place, codes, scales, zeros, bits, groupSize, columns)
      case .float64: decode_grid_f64(tile.f64 + place, codes, scales, zeros, bits, groupSize, columns)
      }
    }
  }
}

/// Rows of small integers as streams of bits: code k of a row occupies its bits k·b ..< (k + 1)·b, the lowest first.
public enum BitStream {
  /// [rows, n] → words [rows, ⌈n·bits/32⌉]. Codes must be below 2^bits.
  public static func packed(_ codes: [UInt8], rows: Int, bits: Int) -> [UInt32] {
    let count = rows == 0 ? 0 : codes.count / rows
    let width = GridCodes.words(count, bits)
    var words = [UInt32](repeating: 0, count: rows * width)
    for row in 0..<rows {
      for k in 0..<count {
        let code = UInt64(codes[row * count + k])
        let (word, shift) = (row * width + k * bits / 32, k * bits % 32)
        words[word] |= UInt32(truncatingIfNeeded: code << shift)
        if shift + bits > 32 { words[word + 1] |= UInt32(truncatingIfNeeded: (code << shift) >> 32) }
      }
    }
    return words
  }

  /// The reverse, `count` codes a row.
  public static func unpacked(_ words: [UInt32], rows: Int, count: Int, bits: Int) -> [UInt8] {
    let width = GridCodes.words(count, bits)
    var codes = [UInt8](repeating: 0, count: rows * count)
    for row in 0..<rows {
      for k in 0..<count {
        let (word, shift) = (row * width + k * bits / 32, k * bits % 32)
        var value = UInt64(words[word])
        if shift + bits > 32 { value |= UInt64(words[word + 1]) << 32 }
        codes[row * count + k] = UInt8(value >> shift & (1 << bits - 1))
      }
    }
    return codes
  }
}
