import JSON

/// One tensor of a safetensors file: where its numbers stand and what they are.
public struct TensorEntry: Sendable, Equatable {
  public var name: String
  public var dtype: StoredType
  public var shape: [Int]
  /// Its bytes, counted from the start of the file.
  public var range: Range<Int>

  public init(name: String, dtype: StoredType, shape: [Int], range: Range<Int>) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.range = range
  }

  /// How many numbers.
  public var count: Int { range.count / dtype.size }
}

/// A mapped safetensors file whose header has been checked in full: no range leaves the file, overlaps another, leaves a hole or
/// disagrees with its shape.
public struct SafetensorsFile: Sendable {
  public let file: MappedFile
  /// The text pairs of `__metadata__`.
  public let metadata: [String: String]
  /// In the order of their bytes.
  public let tensors: [TensorEntry]
  private let places: [String: Int]

  public var path: String { file.path }

  public init(_ path: String) throws(FileError) {
    try self.init(MappedFile(path))
  }

  public init(_ file: MappedFile) throws(FileError) {
    let header = try SafetensorsHeader(file)
    self.file = file
    metadata = header.metadata
    tensors = header.tensors
    places = Dictionary(tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
  }

  public func entry(_ name: String) -> TensorEntry? {
    places[name].map { tensors[$0] }
  }

  /// The tensor's bytes inside the mapping: valid while `file` is held, and not aligned in every file.
  public func bytes(of name: String) throws(FileError) -> UnsafeRawBufferPointer {
    bytes(try known(name))
  }

  /// See ``StoredType/floats(_:)``.
  public func floats(of name: String) throws(FileError) -> [Float] {
    let entry = try known(name)
    return entry.dtype.floats(bytes(entry))
  }

  /// See ``StoredType/doubles(_:)``.
  public func doubles(of name: String) throws(FileError) -> [Double] {
    let entry = try known(name)
    return entry.dtype.doubles(bytes(entry))
  }

  /// The numbers of an integer tensor; a floating one is refused.
  public func ints(of name: String) throws(FileError) -> [Int] {
    let entry = try known(name)
    guard let ints = entry.dtype.ints(bytes(entry)) else {
      throw FileError(.badData, path, "tensor '\(printable(name))' is \(entry.dtype.rawValue) where integers are wanted")
    }
    return ints
  }

  private func known(_ name: String) throws(FileError) -> TensorEntry {
    guard let entry = entry(name) else { throw FileError(.badData, path, "has no tensor '\(printable(name))'") }
    return entry
  }

  private func bytes(_ entry: TensorEntry) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: file.bytes[entry.range])
  }
}
