/// Integer codes as GPTQ checkpoints hold them: everything transposed, codes and zeros as streams of bits along their columns.
///
/// `qweight` [in·b/32, out] and `qzeros` [G, out·b/32] are 32-bit words, `scales` [G, out]; input j is in group `g_idx[j]`.
public struct ExchangeCodes: Sendable {
  /// How zeros are written: older files hold z − 1.
  public enum Version: Int, Sendable {
    case one = 1
    case two = 2
  }

  public var rows: Int
  public var columns: Int
  public var bits: Int
  public var groupSize: Int
  public var version: Version
  public var weight: [Int32]
  public var zeros: [Int32]
  public var scales: [Float]

  /// Nil where the codes of a row, or of a column of zeros, do not fill whole words.
  public init?(_ codes: GridCodes, version: Version = .two) {
    guard codes.columns * codes.bits % 32 == 0, codes.rows * codes.bits % 32 == 0 else { return nil }
    (rows, columns, bits, groupSize) = (codes.rows, codes.columns, codes.bits, codes.groupSize)
    self.version = version
    weight = transposed(codes.packed.array(of: Int32.self), rows: rows)
    scales = transposed(codes.scales.array(of: Float.self), rows: rows)
    // z − 1 of 0 wraps around within its bits, as the files' own readers have it.
    let shift: UInt8 = version == .one ? 1 : 0
    let stored = transposed(codes.zeros.array(of: UInt8.self), rows: rows).map { ($0 &- shift) & UInt8(1 << codes.bits - 1) }
    zeros = BitStream.packed(stored, rows: codes.groups, bits: bits).map { Int32(bitPattern: $0) }
  }

  public init(
    rows: Int, columns: Int, bits: Int, groupSize: Int, version: Version, weight: [Int32], zeros: [Int32], scales: [Float]
  ) {
    precondition(
      columns * bits % 32 == 0 && rows * bits % 32 == 0 && weight.count == columns * bits / 32 * rows
        && zeros.count == columns / groupSize * rows * bits / 32 && scales.count == columns / groupSize * rows,
      "exchange tensors of another shape than [\(rows), \(columns)]")
    (self.rows, self.columns, self.bits, self.groupSize) = (rows, columns, bits, groupSize)
    (self.version, self.weight, self.zeros, self.scales) = (version, weight, zeros, scales)
  }

  /// The group of every input.
  public var groupIndices: [Int32] { (0..<columns).map { Int32($0 / groupSize) } }

  /// By rows, as products read them.
  public var codes: GridCodes {
    let groups = columns / groupSize
    let shift: UInt8 = version == .one ? 1 : 0
    let stored = BitStream.unpacked(zeros.map { UInt32(bitPattern: $0) }, rows: groups, count: rows, bits: bits)
    return GridCodes(
      rows: rows, columns: columns, bits: bits, groupSize: groupSize,
      packed: FrozenBytes(transposed(weight, rows: columns * bits / 32)),
      scales: FrozenBytes(transposed(scales, rows: groups)),
      zeros: FrozenBytes(transposed(stored.map { ($0 &+ shift) & UInt8(1 << bits - 1) }, rows: groups)))
  }
}

/// [rows, n] → [n, rows].
private func transposed<Value: BitwiseCopyable>(_ values: [Value], rows: Int) -> [Value] {
  let columns = rows == 0 ? 0 : values.count / rows
  return (0..<values.count).map { values[$0 % rows * columns + $0 / rows] }
}
