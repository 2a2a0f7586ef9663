import JSON

/// The checked header of a safetensors file: eight bytes of length, a JSON object, then the numbers without a gap.
///
/// Every rule is checked here because files come from strangers; after this no access can leave the mapping.
struct SafetensorsHeader {
  private(set) var metadata: [String: String] = [:]
  private(set) var tensors: [TensorEntry] = []

  /// The format's own bound.
  static let maximumBytes = 100_000_000

  private let path: String
  private let fileSize: Int
  private let dataStart: Int

  init(_ file: MappedFile) throws(FileError) {
    path = file.path
    fileSize = file.bytes.count
    try file.refuseLFSPointer()
    guard fileSize >= 8 else {
      throw FileError(
        .badData, path, "is no safetensors file", cause: "\(fileSize) bytes, 8 at least", remedy: Self.damaged)
    }
    let length = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(Self.maximumBytes) else {
      throw FileError(
        .badData, path, "is no safetensors file", cause: "a header of \(length) bytes, at most \(Self.maximumBytes) allowed",
        remedy: Self.damaged)
    }
    guard Int(length) <= fileSize - 8 else {
      throw FileError(
        .badData, path, "is cut short", cause: "a header of \(length) bytes in a file of \(fileSize)",
        remedy: Self.damaged)
    }
    dataStart = 8 + Int(length)
    try read(file.bytes[8..<dataStart])
    try checkLayout()
  }

  private func bad(_ what: String, cause: String? = nil, remedy: String = SafetensorsHeader.damaged) -> FileError {
    FileError(.badData, path, what, cause: cause, remedy: remedy)
  }

  /// What to do about a file that was not written or carried whole.
  private static let damaged = "copy or download it again"
  /// What to do about one that was written so.
  private static let malformed = "save it again with a program that keeps to the format"

  // MARK: Content

  private mutating func read(_ bytes: Slice<UnsafeRawBufferPointer>) throws(FileError) {
    let document: JSON
    do {
      document = try JSON(parsing: bytes, maximumDepth: 8)
    } catch {
      throw bad("has a header that is not JSON", cause: "byte \(8 + error.offset): \(printable(error.message))")
    }
    guard let members = document.members else { throw bad("has a header that is no JSON object", remedy: Self.malformed) }
    var seen: Set<String> = []
    for member in members {
      if member.key == "__metadata__" {
        try readMetadata(member.value)
        continue
      }
      let entry = try readTensor(member)
      // The reader has refused equal bytes; these differ and yet Unicode calls them equal.
      guard seen.insert(entry.name).inserted else {
        throw bad("has two tensors '\(printable(entry.name))'", remedy: Self.malformed)
      }
      tensors.append(entry)
    }
  }

  private mutating func readMetadata(_ value: JSON) throws(FileError) {
    // mlx writes `null` where there is none.
    if value.isNull { return }
    guard let members = value.members else { throw bad("has a __metadata__ that is no JSON object", remedy: Self.malformed) }
    for member in members {
      guard let text = member.value.string else {
        throw bad("has a __metadata__ '\(printable(member.key))' that is no text", remedy: Self.malformed)
      }
      metadata[member.key] = text
    }
  }

  private func readTensor(_ member: JSON.Member) throws(FileError) -> TensorEntry {
    let tensor = "tensor '\(printable(member.key))'"
    guard member.value.members != nil else { throw bad("\(tensor) is described by no JSON object", remedy: Self.malformed) }
    guard let word = member.value["dtype"]?.string else { throw bad("\(tensor) has no dtype", remedy: Self.malformed) }
    guard let dtype = StoredType(rawValue: word) else {
      let known = StoredType.allCases.map(\.rawValue).joined(separator: " ")
      throw bad(
        "\(tensor) has the unknown dtype '\(printable(word))'", cause: "known: \(known)", remedy: "convert it to one of these")
    }
    guard let shapeItems = member.value["shape"]?.array else { throw bad("\(tensor) has no shape", remedy: Self.malformed) }
    var shape: [Int] = []
    var size = dtype.size
    var overflow = false
    for item in shapeItems {
      guard case .int(let extent) = item, extent >= 0 else {
        throw bad("\(tensor) has a shape that is no list of sizes", remedy: Self.malformed)
      }
      shape.append(extent)
      // A size of zero later does not excuse an overflow now: no reader should have to multiply such numbers.
      let product = size.multipliedReportingOverflow(by: extent)
      size = product.partialValue
      overflow = overflow || product.overflow
    }
    guard !overflow else { throw bad("\(tensor) has a shape whose product is too large", remedy: Self.malformed) }
    guard let offsets = member.value["data_offsets"]?.array, offsets.count == 2, case .int(let begin) = offsets[0],
      case .int(let end) = offsets[1]
    else { throw bad("\(tensor) has no pair of data_offsets", remedy: Self.malformed) }
    guard begin <= end else {
      throw bad("\(tensor) begins after its end", cause: "data_offsets \(begin), \(end)", remedy: Self.malformed)
    }
    let dataSize = fileSize - dataStart
    guard begin >= 0, end <= dataSize else {
      throw bad("\(tensor) lies outside the file", cause: "data_offsets \(begin), \(end) in \(dataSize) bytes of data")
    }
    guard end - begin == size else {
      throw bad("\(tensor) has \(end - begin) bytes where \(word) \(shape) needs \(size)", remedy: Self.malformed)
    }
    return TensorEntry(name: member.key, dtype: dtype, shape: shape, range: dataStart + begin..<dataStart + end)
  }

  // MARK: Layout

  /// Orders the tensors by place and demands that they fill the data: the format allows no hole, in which anything could hide.
  private mutating func checkLayout() throws(FileError) {
    tensors.sort {
      ($0.range.lowerBound, $0.range.upperBound, $0.name) < ($1.range.lowerBound, $1.range.upperBound, $1.name)
    }
    var end = dataStart
    for tensor in tensors {
      let name = "tensor '\(printable(tensor.name))'"
      if tensor.range.lowerBound < end { throw bad("\(name) overlaps the tensor before it", remedy: Self.malformed) }
      if tensor.range.lowerBound > end {
        throw bad("has \(tensor.range.lowerBound - end) bytes of no tensor before \(name)", remedy: Self.malformed)
      }
      end = tensor.range.upperBound
    }
    guard end == fileSize else { throw bad("has \(fileSize - end) bytes of no tensor at its end") }
  }
}
