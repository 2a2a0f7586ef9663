import Files

/// The rows of a data file with the lines they begin at: the lines of a text, or the items of one JSON array.
struct RowReader {
  struct Row {
    var line: Int
    /// Valid while the reader lives.
    var bytes: UnsafeRawBufferPointer
  }

  private var lines: LineReader
  /// The whole file and the place in it, where it is one array.
  private var array: ArrayScanner?

  init(_ path: String) throws(FileError) {
    lines = try LineReader(path)
    guard path.hasSuffix(".json") else { return }
    let file = try MappedFile(path)
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let start = file.bytes.starts(with: mark) ? mark.count : 0
    let first = file.bytes[start...].first { !ArrayScanner.isSpace($0) }
    // One object a line is read in a `.json`, too.
    if first == UInt8(ascii: "[") { array = ArrayScanner(file: file, at: start) }
  }

  mutating func next() throws(FileError) -> Row? {
    if array != nil { return try array?.next() }
    return try lines.next().map { Row(line: $0.number, bytes: $0.bytes) }
  }
}

/// Finds the items of a JSON array by their brackets and quotes, each to be parsed by itself.
private struct ArrayScanner {
  private let file: MappedFile
  private var at: Int
  private var line = 1
  private var isOpen = false

  private static let maximumBytes = 1 << 24

  init(file: MappedFile, at: Int) {
    self.file = file
    self.at = at
  }

  static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }

  private mutating func skipSpace() {
    while at < file.bytes.count, Self.isSpace(file.bytes[at]) {
      if file.bytes[at] == 0x0A { line += 1 }
      at += 1
    }
  }

  private func fault(_ what: String) -> FileError {
    FileError(.badData, "\(file.path):\(line)", what, remedy: "give one JSON array of rows, or one row a line")
  }

  mutating func next() throws(FileError) -> RowReader.Row? {
    skipSpace()
    if !isOpen {
      at += 1
      isOpen = true
      skipSpace()
    } else {
      guard at < file.bytes.count else { return nil }
      guard file.bytes[at] == UInt8(ascii: ",") || file.bytes[at] == UInt8(ascii: "]") else {
        throw fault("is not JSON (expected ',' between the rows of the array)")
      }
      if file.bytes[at] == UInt8(ascii: ",") {
        at += 1
        skipSpace()
        guard at < file.bytes.count, file.bytes[at] != UInt8(ascii: "]") else { throw fault("is not JSON (a row is missing)") }
      }
    }
    guard at < file.bytes.count else { throw fault("is not JSON (the array is not closed)") }
    guard file.bytes[at] != UInt8(ascii: "]") else {
      at += 1
      skipSpace()
      guard at == file.bytes.count else { throw fault("is not JSON (unexpected text after the array)") }
      return nil
    }
    let (start, first) = (at, line)
    try skipItem()
    return RowReader.Row(line: first, bytes: UnsafeRawBufferPointer(rebasing: file.bytes[start..<at]))
  }

  /// Passes over one item: as far as the comma or bracket that ends it.
  private mutating func skipItem() throws(FileError) {
    let start = at
    var depth = 0
    var isString = false
    while at < file.bytes.count {
      guard at - start <= Self.maximumBytes else { throw fault("a row is longer than \(Self.maximumBytes) bytes") }
      let byte = file.bytes[at]
      if byte == 0x0A { line += 1 }
      if isString {
        if byte == UInt8(ascii: "\\") { at += 1 }
        if byte == UInt8(ascii: "\"") { isString = false }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
          if depth == 0 { return }
          depth -= 1
        case UInt8(ascii: ",") where depth == 0: return
        default: break
        }
      }
      at += 1
    }
    at = min(at, file.bytes.count)
    throw fault("is not JSON (the array is not closed)")
  }
}
