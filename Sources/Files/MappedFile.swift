#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file mapped read-only for as long as this object lives: no copy, and pages come in when they are touched.
///
/// `bytes` is valid only while the object is held, and a local variable is not held beyond its last mention: use ``withBytes(_:)``
/// there. A file that another process shortens meanwhile ends this one with SIGBUS, as
/// with every mapping; files named final by ``WholeFile`` are replaced, never shortened.
// Unchecked: a pointer is not Sendable, but what it points to never changes.
public final class MappedFile: @unchecked Sendable {
  public let path: String
  public let bytes: UnsafeRawBufferPointer

  /// Maps an ordinary file; an empty one gives no bytes.
  public init(_ path: String) throws(FileError) {
    self.path = path
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    let file = try Descriptor(path, O_RDONLY | O_NONBLOCK, failure: .missing, "cannot be read")
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw .system(.io, path, "cannot be read", errno: errno) }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw FileError(.missing, path, "is a folder, not a file") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw FileError(.missing, path, "is no ordinary file") }
    let size = Int(status.st_size)
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.number, 0)
    guard let address, address != MAP_FAILED else { throw .system(.io, path, "cannot be mapped", errno: errno) }
    bytes = UnsafeRawBufferPointer(start: address, count: size)
  }

  /// Holds the mapping for the time of the call.
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(self) {} }
    return try body(bytes)
  }

  deinit {
    if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
  }
}

extension MappedFile {
  /// Refuses the small text that stands in a clone for a file kept in Git LFS.
  func refuseLFSPointer() throws(FileError) {
    guard bytes.starts(with: "version https://git-lfs.github.com/spec".utf8) else { return }
    throw FileError(
      .badData, path, "is a Git LFS pointer, not the file itself", remedy: "run `git lfs pull` in its repository")
  }
}
