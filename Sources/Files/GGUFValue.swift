/// A value of a GGUF file's metadata.
public enum GGUFValue: Sendable, Hashable {
  case uint8(UInt8)
  case int8(Int8)
  case uint16(UInt16)
  case int16(Int16)
  case uint32(UInt32)
  case int32(Int32)
  case uint64(UInt64)
  case int64(Int64)
  case float32(Float)
  case float64(Double)
  case bool(Bool)
  case string(String)
  case array([GGUFValue])

  public var text: String? { if case .string(let text) = self { text } else { nil } }

  /// A number of any type, where it is one.
  public var number: Double? {
    switch self {
    case .uint8(let value): Double(value)
    case .int8(let value): Double(value)
    case .uint16(let value): Double(value)
    case .int16(let value): Double(value)
    case .uint32(let value): Double(value)
    case .int32(let value): Double(value)
    case .uint64(let value): Double(value)
    case .int64(let value): Double(value)
    case .float32(let value): Double(value)
    case .float64(let value): value
    case .bool, .string, .array: nil
    }
  }

  /// The format's number for the type.
  var code: UInt32 {
    switch self {
    case .uint8: 0
    case .int8: 1
    case .uint16: 2
    case .int16: 3
    case .uint32: 4
    case .int32: 5
    case .float32: 6
    case .bool: 7
    case .string: 8
    case .array: 9
    case .uint64: 10
    case .int64: 11
    case .float64: 12
    }
  }
}

/// The number types of GGUF tensors that this project reads.
public enum GGUFType: UInt32, Sendable, CaseIterable {
  case f32 = 0
  case f16 = 1
  /// Blocks of 32 bytes-sized integers with a half-precision factor before them.
  case q8 = 8
  case bf16 = 30

  /// Numbers in a block, and its bytes.
  var block: (count: Int, bytes: Int) {
    switch self {
    case .f32: (1, 4)
    case .f16, .bf16: (1, 2)
    case .q8: (32, 34)
    }
  }

  func floats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    switch self {
    case .f32: return StoredType.f32.floats(bytes)
    case .f16: return StoredType.f16.floats(bytes)
    case .bf16: return StoredType.bf16.floats(bytes)
    case .q8:
      var values: [Float] = []
      values.reserveCapacity(bytes.count / 34 * 32)
      for start in stride(from: 0, to: bytes.count, by: 34) {
        let factor = HalfFloat.float(f16: UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt16.self)))
        for i in 2..<34 { values.append(factor * Float(bytes.loadUnaligned(fromByteOffset: start + i, as: Int8.self))) }
      }
      return values
    }
  }
}

/// One tensor of a GGUF file.
public struct GGUFTensor: Sendable, Hashable {
  public var name: String
  public var type: GGUFType
  /// As the format counts: the extent whose numbers lie beside each other first. A matrix [rows, columns] has [columns, rows] here.
  public var extents: [Int]
  /// Its bytes, counted from the start of the file.
  public var range: Range<Int>

  public init(name: String, type: GGUFType, extents: [Int], range: Range<Int>) {
    self.name = name
    self.type = type
    self.extents = extents
    self.range = range
  }
}
