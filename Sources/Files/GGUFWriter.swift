/// Writes GGUF files, version 3, whole or not at all.
public enum GGUFWriter {
  public struct Tensor {
    public var name: String
    /// As the format counts: what lies beside each other first.
    public var extents: [Int]
    /// In the order of the file, as F32.
    public var floats: [Float]

    public init(name: String, extents: [Int], floats: [Float]) {
      self.name = name
      self.extents = extents
      self.floats = floats
    }
  }

  private static let alignment = 32

  /// The same pairs and tensors in the same order give the same bytes.
  public static func write(_ metadata: [(key: String, value: GGUFValue)], _ tensors: [Tensor], to path: String) throws(FileError)
  {
    var header = GGUFHeader.magic
    append(UInt32(3), to: &header)
    append(UInt64(tensors.count), to: &header)
    append(UInt64(metadata.count), to: &header)
    for (key, value) in metadata {
      append(key, to: &header)
      append(value.code, to: &header)
      append(value, to: &header)
    }
    var offset = 0
    for tensor in tensors {
      guard tensor.extents.reduce(1, *) == tensor.floats.count, (1...4).contains(tensor.extents.count) else {
        throw FileError(
          .badData, path, "tensor '\(printable(tensor.name))' has \(tensor.floats.count) numbers for \(tensor.extents)")
      }
      append(tensor.name, to: &header)
      append(UInt32(tensor.extents.count), to: &header)
      for extent in tensor.extents { append(UInt64(extent), to: &header) }
      append(GGUFType.f32.rawValue, to: &header)
      append(UInt64(offset), to: &header)
      offset += padded(4 * tensor.floats.count)
    }
    let file = try WholeFile(path)
    try file.write(header)
    try pad(file)
    for tensor in tensors {
      let result = tensor.floats.withUnsafeBytes { raw in Result { () throws(FileError) in try file.write(raw) } }
      try result.get()
      try pad(file)
    }
    try file.commit()
  }

  private static func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  private static func pad(_ file: WholeFile) throws(FileError) {
    try file.write([UInt8](repeating: 0, count: padded(file.count) - file.count))
  }

  private static func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
  }

  private static func append(_ text: String, to bytes: inout [UInt8]) {
    append(UInt64(text.utf8.count), to: &bytes)
    bytes.append(contentsOf: text.utf8)
  }

  private static func append(_ value: GGUFValue, to bytes: inout [UInt8]) {
    switch value {
    case .uint8(let number): append(number, to: &bytes)
    case .int8(let number): append(number, to: &bytes)
    case .uint16(let number): append(number, to: &bytes)
    case .int16(let number): append(number, to: &bytes)
    case .uint32(let number): append(number, to: &bytes)
    case .int32(let number): append(number, to: &bytes)
    case .uint64(let number): append(number, to: &bytes)
    case .int64(let number): append(number, to: &bytes)
    case .float32(let number): append(number.bitPattern, to: &bytes)
    case .float64(let number): append(number.bitPattern, to: &bytes)
    case .bool(let flag): append(UInt8(flag ? 1 : 0), to: &bytes)
    case .string(let text): append(text, to: &bytes)
    case .array(let items):
      // Of one type, by the format; an empty one has any.
      append(items.first?.code ?? 4, to: &bytes)
      append(UInt64(items.count), to: &bytes)
      for item in items { append(item, to: &bytes) }
    }
  }
}
