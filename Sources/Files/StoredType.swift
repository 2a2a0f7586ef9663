/// The number types of a safetensors file that this project reads.
public enum StoredType: String, Sendable, CaseIterable {
  case f64 = "F64"
  case f32 = "F32"
  case f16 = "F16"
  case bf16 = "BF16"
  case i64 = "I64"
  case i32 = "I32"
  case u32 = "U32"
  case i16 = "I16"
  case i8 = "I8"
  case u8 = "U8"
  case bool = "BOOL"

  /// Bytes of one number.
  public var size: Int {
    switch self {
    case .f64, .i64: 8
    case .f32, .i32, .u32: 4
    case .f16, .bf16, .i16: 2
    case .i8, .u8, .bool: 1
    }
  }

  public var isInteger: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: false
    case .i64, .i32, .u32, .i16, .i8, .u8, .bool: true
    }
  }

  /// The numbers in `bytes` as floats: exact from F32 and below, rounded from F64, I64, I32 and U32. `bytes` need not be aligned.
  public func floats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    switch self {
    case .f64: map(bytes) { (x: UInt64) in Float(Double(bitPattern: x)) }
    case .f32: copy(bytes)
    case .f16: map(bytes) { HalfFloat.float(f16: $0) }
    case .bf16: map(bytes) { HalfFloat.float(bf16: $0) }
    case .i64: map(bytes) { (x: Int64) in Float(x) }
    case .i32: map(bytes) { (x: Int32) in Float(x) }
    case .u32: map(bytes) { (x: UInt32) in Float(x) }
    case .i16: map(bytes) { (x: Int16) in Float(x) }
    case .i8: map(bytes) { (x: Int8) in Float(x) }
    case .u8: map(bytes) { (x: UInt8) in Float(x) }
    case .bool: map(bytes) { (x: UInt8) in x == 0 ? 0 : 1 }
    }
  }

  /// The numbers in `bytes` as doubles: exact from all types but I64.
  public func doubles(_ bytes: UnsafeRawBufferPointer) -> [Double] {
    switch self {
    case .f64: copy(bytes)
    case .i64: map(bytes) { (x: Int64) in Double(x) }
    case .i32: map(bytes) { (x: Int32) in Double(x) }
    case .u32: map(bytes) { (x: UInt32) in Double(x) }
    default: floats(bytes).map(Double.init)
    }
  }

  /// The numbers in `bytes` as integers, `nil` where the type is a floating one.
  public func ints(_ bytes: UnsafeRawBufferPointer) -> [Int]? {
    switch self {
    case .f64, .f32, .f16, .bf16: nil
    case .i64: map(bytes) { (x: Int64) in Int(x) }
    case .i32: map(bytes) { (x: Int32) in Int(x) }
    case .u32: map(bytes) { (x: UInt32) in Int(x) }
    case .i16: map(bytes) { (x: Int16) in Int(x) }
    case .i8: map(bytes) { (x: Int8) in Int(x) }
    case .u8: map(bytes) { (x: UInt8) in Int(x) }
    case .bool: map(bytes) { (x: UInt8) in x == 0 ? 0 : 1 }
    }
  }

  private func map<Stored: FixedWidthInteger & BitwiseCopyable, Value>(
    _ bytes: UnsafeRawBufferPointer, _ value: (Stored) -> Value
  ) -> [Value] {
    let count = bytes.count / MemoryLayout<Stored>.size
    return [Value](unsafeUninitializedCapacity: count) { out, filled in
      for i in 0..<count {
        let stored = bytes.loadUnaligned(fromByteOffset: i &* MemoryLayout<Stored>.size, as: Stored.self)
        out.initializeElement(at: i, to: value(Stored(littleEndian: stored)))
      }
      filled = count
    }
  }

  /// The bytes as they are: every system this project runs on is little-endian, as the format is.
  private func copy<Value: BitwiseCopyable>(_ bytes: UnsafeRawBufferPointer) -> [Value] {
    let count = bytes.count / MemoryLayout<Value>.size
    return [Value](unsafeUninitializedCapacity: count) { out, filled in
      UnsafeMutableRawBufferPointer(out).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes.prefix(count * MemoryLayout<Value>.size)))
      filled = count
    }
  }
}
