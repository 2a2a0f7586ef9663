#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file that grows line by line, each on its way to the disk when `append` returns.
public final class AppendingFile {
  private let file: Descriptor

  /// Opens a file that exists.
  public init(_ path: String) throws(FileError) {
    file = try Descriptor(path, O_WRONLY | O_APPEND, failure: .cannotCreate, "cannot be opened for writing")
  }

  public func append(line: String) throws(FileError) {
    let bytes = Array("\(line)\n".utf8)
    let result = bytes.withUnsafeBytes { raw in Result { () throws(FileError) in try file.write(raw) } }
    try result.get()
  }
}
