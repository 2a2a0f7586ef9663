import JSON

/// Writes safetensors files, whole or not at all, without holding their numbers in memory at once.
///
/// The same tensors and metadata give the same bytes: the header is in order of names and padded with blanks to eight bytes; the
/// data are in order of number size, then name, so that every number is aligned.
public enum SafetensorsWriter {
  /// Takes the next bytes of a tensor.
  public typealias Sink = (UnsafeRawBufferPointer) throws(FileError) -> Void

  public struct Tensor {
    public var name: String
    public var dtype: StoredType
    public var shape: [Int]
    /// Gives all bytes of the tensor to the sink, in as many pieces as it likes; called once, when its turn has come.
    public var content: (Sink) throws(FileError) -> Void

    public init(name: String, dtype: StoredType, shape: [Int], content: @escaping (Sink) throws(FileError) -> Void) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
      self.content = content
    }
  }

  public static func write(
    _ tensors: [Tensor], metadata: [String: String] = [:], to path: String
  ) throws(FileError) {
    let layout = try Layout(tensors, path)
    var header = try layout.header(metadata)
    header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    guard header.utf8.count <= SafetensorsHeader.maximumBytes else {
      throw FileError(.badData, path, "would have a header of \(header.utf8.count) bytes, more than the format allows")
    }
    let file = try WholeFile(path)
    try file.write((0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) })
    try file.write(header)
    for (tensor, size) in layout.ordered {
      let start = file.count
      try tensor.content { (bytes) throws(FileError) in try file.write(bytes) }
      guard file.count - start == size else {
        throw FileError(
          .badData, path, "tensor '\(printable(tensor.name))' was given \(file.count - start) bytes where \(size) are due")
      }
    }
    try file.commit()
  }

  /// The order of the data and each tensor's bytes in it.
  private struct Layout {
    let ordered: [(tensor: Tensor, size: Int)]

    init(_ tensors: [Tensor], _ path: String) throws(FileError) {
      var sized: [(tensor: Tensor, size: Int)] = []
      var seen: Set<String> = ["__metadata__"]
      var total = 0
      for tensor in tensors {
        let name = "tensor '\(printable(tensor.name))'"
        guard seen.insert(tensor.name).inserted else { throw FileError(.badData, path, "\(name) is given twice or reserved") }
        var size = tensor.dtype.size
        for extent in tensor.shape {
          let product = size.multipliedReportingOverflow(by: extent)
          guard extent >= 0, !product.overflow else { throw FileError(.badData, path, "\(name) has no possible shape") }
          size = product.partialValue
        }
        let sum = total.addingReportingOverflow(size)
        guard !sum.overflow else { throw FileError(.badData, path, "\(name) has no possible shape") }
        total = sum.partialValue
        sized.append((tensor, size))
      }
      ordered = sized.sorted { a, b in
        if a.tensor.dtype.size != b.tensor.dtype.size { return a.tensor.dtype.size > b.tensor.dtype.size }
        return a.tensor.name.utf8.lexicographicallyPrecedes(b.tensor.name.utf8)
      }
    }

    func header(_ metadata: [String: String]) throws(FileError) -> String {
      var begin = 0
      var members: [JSON.Member] = []
      for (tensor, size) in ordered {
        members.append(
          .init(
            tensor.name,
            .object([
              .init("dtype", .string(tensor.dtype.rawValue)),
              .init("shape", .array(tensor.shape.map(JSON.int))),
              .init("data_offsets", .array([.int(begin), .int(begin + size)])),
            ])))
        begin += size
      }
      members.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      if !metadata.isEmpty {
        let pairs = JSON.object(metadata.map { .init($0.key, .string($0.value)) }).sorted
        members.insert(.init("__metadata__", pairs), at: 0)
      }
      return JSON.object(members).text()
    }
  }
}

extension SafetensorsWriter.Tensor {
  /// Floats, stored as `dtype` (F64, F32, BF16 or F16; the last two rounded to nearest even). Converted piece by piece.
  public init(name: String, shape: [Int], floats: [Float], as dtype: StoredType = .f32) {
    precondition(!dtype.isInteger, "floats cannot be stored as \(dtype.rawValue)")
    self.init(name: name, dtype: dtype, shape: shape) { (sink) throws(FileError) in
      switch dtype {
      case .bf16: try Self.send(floats, sink) { HalfFloat.bf16($0).littleEndian }
      case .f16: try Self.send(floats, sink) { HalfFloat.f16($0).littleEndian }
      case .f64: try Self.send(floats, sink) { Double($0) }
      default: try Self.send(floats, sink) { $0 }
      }
    }
  }

  public init(name: String, shape: [Int], doubles: [Double]) {
    self.init(name: name, dtype: .f64, shape: shape) { (sink) throws(FileError) in try Self.send(doubles, sink) { $0 } }
  }

  /// Integers as I64.
  public init(name: String, shape: [Int], ints: [Int]) {
    self.init(name: name, dtype: .i64, shape: shape) { (sink) throws(FileError) in
      try Self.send(ints, sink) { Int64($0).littleEndian }
    }
  }

  /// A tensor of an open file as it is, byte for byte.
  public init(copying entry: TensorEntry, of source: SafetensorsFile, as name: String? = nil) {
    self.init(name: name ?? entry.name, dtype: entry.dtype, shape: entry.shape) { (sink) throws(FileError) in
      try sink(source.bytes(of: entry.name))
    }
  }

  private static func send<Value, Stored>(
    _ values: [Value], _ sink: SafetensorsWriter.Sink, _ stored: (Value) -> Stored
  ) throws(FileError) {
    let piece = 1 << 16
    for start in stride(from: 0, to: values.count, by: piece) {
      let converted = values[start..<min(start + piece, values.count)].map(stored)
      let result = converted.withUnsafeBytes { raw in Result { () throws(FileError) in try sink(raw) } }
      try result.get()
    }
  }
}
