/// A mapped GGUF file, version 2 or 3, whose header has been checked in full: no tensor leaves the file, overlaps another or
/// disagrees with its extents.
public struct GGUFFile: Sendable {
  public let file: MappedFile
  public let metadata: [String: GGUFValue]
  /// In the order of their bytes.
  public let tensors: [GGUFTensor]

  public var path: String { file.path }

  public init(_ path: String) throws(FileError) {
    let file = try MappedFile(path)
    try file.refuseLFSPointer()
    var reader = GGUFHeader(file)
    try reader.read()
    self.file = file
    metadata = reader.metadata
    tensors = reader.tensors
  }

  /// Whether a file begins as GGUF files do.
  public static func isGGUF(_ path: String) -> Bool {
    guard Folder.isFile(path), let file = try? MappedFile(path) else { return false }
    return file.withBytes { $0.starts(with: GGUFHeader.magic) }
  }

  /// The tensor's numbers in the order of the file, widened.
  public func floats(of tensor: GGUFTensor) -> [Float] {
    file.withBytes { tensor.type.floats(UnsafeRawBufferPointer(rebasing: $0[tensor.range])) }
  }
}

/// Reads the header. Every count and length is held against the bytes that are left before anything is made of it.
struct GGUFHeader {
  static let magic: [UInt8] = Array("GGUF".utf8)
  /// Values of all arrays together: more than any adapter has, and little enough to hold.
  private static let mostValues = 1 << 22
  /// Arrays in arrays.
  private static let deepest = 4

  private(set) var metadata: [String: GGUFValue] = [:]
  private(set) var tensors: [GGUFTensor] = []
  private let file: MappedFile
  private var position = 0
  private var values = 0

  init(_ file: MappedFile) { self.file = file }

  private func bad(_ what: String, cause: String? = nil) -> FileError {
    FileError(.badData, file.path, what, cause: cause, remedy: "copy, download or convert it again")
  }

  private var left: Int { file.bytes.count - position }

  mutating func read() throws(FileError) {
    guard file.bytes.starts(with: Self.magic) else { throw bad("is no GGUF file") }
    position = 4
    let version: UInt32 = try number()
    guard version == 2 || version == 3 else {
      throw bad(
        "is GGUF of version \(version.byteSwapped == 3 ? "3 for machines of the other byte order" : "\(version)")",
        cause: "versions 2 and 3 can be read")
    }
    let (tensorCount, pairCount): (UInt64, UInt64) = (try number(), try number())
    // The least that a tensor and a pair take.
    guard tensorCount <= UInt64(left / 24), pairCount <= UInt64(left / 13) else {
      throw bad("is cut short", cause: "\(tensorCount) tensors and \(pairCount) pairs in \(file.bytes.count) bytes")
    }
    for _ in 0..<pairCount {
      let key = try string()
      let value = try value(of: try number(), depth: 0)
      guard metadata.updateValue(value, forKey: key) == nil else { throw bad("has two values for '\(printable(key))'") }
    }
    try readTensors(Int(tensorCount))
  }

  // MARK: Parts

  private mutating func number<Number: FixedWidthInteger>() throws(FileError) -> Number {
    let size = MemoryLayout<Number>.size
    guard left >= size else { throw bad("is cut short", cause: "its header does not end") }
    defer { position += size }
    return Number(littleEndian: file.bytes.loadUnaligned(fromByteOffset: position, as: Number.self))
  }

  private mutating func string() throws(FileError) -> String {
    let count: UInt64 = try number()
    guard count <= UInt64(left) else {
      throw bad("is cut short", cause: "a text of \(count) bytes in a file of \(file.bytes.count)")
    }
    defer { position += Int(count) }
    guard let text = String(validating: file.bytes[position..<position + Int(count)], as: UTF8.self) else {
      throw bad("has a text that is not UTF-8")
    }
    return text
  }

  private mutating func value(of code: UInt32, depth: Int) throws(FileError) -> GGUFValue {
    switch code {
    case 0: return .uint8(try number())
    case 1: return .int8(try number())
    case 2: return .uint16(try number())
    case 3: return .int16(try number())
    case 4: return .uint32(try number())
    case 5: return .int32(try number())
    case 6: return .float32(Float(bitPattern: try number()))
    case 7: return .bool(try number() as UInt8 != 0)
    case 8: return .string(try string())
    case 9:
      let (item, count): (UInt32, UInt64) = (try number(), try number())
      guard depth < Self.deepest else { throw bad("has arrays within arrays, deeper than \(Self.deepest)") }
      guard count <= UInt64(left) else { throw bad("is cut short", cause: "an array of \(count) values") }
      values += Int(count)
      guard values <= Self.mostValues else { throw bad("has more than \(Self.mostValues) values in its arrays") }
      var items: [GGUFValue] = []
      for _ in 0..<count { items.append(try value(of: item, depth: depth + 1)) }
      return .array(items)
    case 10: return .uint64(try number())
    case 11: return .int64(try number())
    case 12: return .float64(Double(bitPattern: try number()))
    default: throw bad("has a value of the unknown type \(code)")
    }
  }

  private mutating func readTensors(_ count: Int) throws(FileError) {
    var found: [(tensor: GGUFTensor, offset: UInt64, size: Int)] = []
    var seen: Set<String> = []
    for _ in 0..<count {
      let name = try string()
      let label = "tensor '\(printable(name))'"
      guard seen.insert(name).inserted else { throw bad("has two of \(label)") }
      let dimensions: UInt32 = try number()
      guard (1...4).contains(dimensions) else { throw bad("\(label) has \(dimensions) dimensions") }
      var extents: [Int] = []
      var total = 1
      for _ in 0..<dimensions {
        let number: UInt64 = try number()
        guard number > 0, let extent = Int(exactly: number), !total.multipliedReportingOverflow(by: extent).overflow else {
          throw bad("\(label) has an extent of \(number)")
        }
        total *= extent
        extents.append(extent)
      }
      let code: UInt32 = try number()
      guard let type = GGUFType(rawValue: code) else {
        throw bad("\(label) has numbers of type \(code)", cause: "F32, F16, BF16 and Q8_0 can be read")
      }
      let block = type.block
      let bytes = (total / block.count).multipliedReportingOverflow(by: block.bytes)
      guard extents[0] % block.count == 0, !bytes.overflow else { throw bad("\(label) has extents that its type cannot have") }
      found.append((GGUFTensor(name: name, type: type, extents: extents, range: 0..<0), try number(), bytes.partialValue))
    }
    try place(found)
  }

  /// Where the tensors lie: behind the header, each on a multiple of the alignment.
  private mutating func place(_ found: [(tensor: GGUFTensor, offset: UInt64, size: Int)]) throws(FileError) {
    let alignment = metadata["general.alignment"] ?? .uint32(32)
    guard case .uint32(let unit) = alignment, unit > 0, unit <= 1 << 20, unit & (unit - 1) == 0 else {
      throw bad("has a general.alignment that is no power of two")
    }
    let start = (position + Int(unit) - 1) / Int(unit) * Int(unit)
    for (tensor, offset, size) in found {
      let label = "tensor '\(printable(tensor.name))'"
      guard offset % UInt64(unit) == 0 else { throw bad("\(label) begins at \(offset), which is not aligned") }
      guard start <= file.bytes.count, offset <= UInt64(file.bytes.count - start), size <= file.bytes.count - start - Int(offset)
      else {
        throw bad("\(label) lies outside the file", cause: "\(size) bytes from \(offset) on")
      }
      var tensor = tensor
      tensor.range = (start + Int(offset))..<(start + Int(offset) + size)
      tensors.append(tensor)
    }
    tensors.sort { ($0.range.lowerBound, $0.name) < ($1.range.lowerBound, $1.name) }
    for (first, second) in zip(tensors, tensors.dropFirst()) where second.range.lowerBound < first.range.upperBound {
      throw bad("tensor '\(printable(second.name))' overlaps the tensor before it")
    }
  }
}
