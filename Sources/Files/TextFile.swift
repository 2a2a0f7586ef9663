import JSON

/// Text files read whole.
public enum TextFile {
  /// The text of a UTF-8 file, without a byte order mark.
  public static func read(_ path: String, maximumBytes: Int = 1 << 28) throws(FileError) -> String {
    let file = try MappedFile(path)
    try file.refuseLFSPointer()
    guard file.bytes.count <= maximumBytes else {
      throw FileError(.badData, path, "is too large", cause: "\(file.bytes.count) bytes, at most \(maximumBytes) are read")
    }
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let text = file.withBytes { String(validating: $0.dropFirst($0.starts(with: mark) ? 3 : 0), as: UTF8.self) }
    guard let text else { throw FileError(.badData, path, "is not UTF-8 text") }
    return text
  }

  /// The JSON document of a file; the error names line and column.
  public static func readJSON(_ path: String, maximumBytes: Int = 1 << 28) throws(FileError) -> JSON {
    let text = try read(path, maximumBytes: maximumBytes)
    do {
      return try JSON(parsing: text)
    } catch {
      throw FileError(.badData, "\(path):\(error.line):\(error.column)", "is not JSON", cause: error.message)
    }
  }
}
