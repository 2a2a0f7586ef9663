#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An open file descriptor, closed with its owner. The room's only place for `open`, `write` and `fsync`.
final class Descriptor {
  let path: String
  private(set) var number: Int32

  /// Opens, retrying when a signal interrupts; `failure` is the kind of error a refusal means.
  init(_ path: String, _ flags: Int32, failure: FileError.Kind, _ what: String) throws(FileError) {
    // C would read the path up to the NUL and open another file.
    guard !path.isEmpty, !path.utf8.contains(0) else { throw FileError(failure, path, "is no path") }
    var opened: Int32
    repeat { opened = open(path, flags | O_CLOEXEC, 0o666) } while opened < 0 && errno == EINTR
    guard opened >= 0 else { throw .system(failure, path, what, errno: errno) }
    self.path = path
    number = opened
  }

  deinit {
    if number >= 0 { _ = close(number) }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    guard var next = bytes.baseAddress else { return }
    var left = bytes.count
    while left > 0 {
      // Some systems refuse single writes beyond 2 GiB.
      #if canImport(Glibc)
        let written = Glibc.write(number, next, min(left, 1 << 30))
      #else
        let written = Darwin.write(number, next, min(left, 1 << 30))
      #endif
      if written < 0 {
        if errno == EINTR { continue }
        throw .system(.io, path, "cannot be written", errno: errno)
      }
      next += written
      left -= written
    }
  }

  /// Waits until the content is on the disk. File systems that cannot tell (EINVAL, ENOTSUP) are believed.
  func sync() throws(FileError) {
    while fsync(number) != 0 {
      if errno == EINTR { continue }
      if errno == EINVAL || errno == ENOTSUP { return }
      throw .system(.io, path, "cannot be written to the disk", errno: errno)
    }
  }

  /// Closes and reports what only closing tells: network file systems find a full disk here.
  func finish() throws(FileError) {
    let number = self.number
    self.number = -1
    guard close(number) == 0 || errno == EINTR else { throw .system(.io, path, "cannot be written", errno: errno) }
  }
}
