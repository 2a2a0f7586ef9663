import Files
import JSON

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// `metrics.jsonl`: one line for each optimizer step, and one for each evaluation.
final class MetricsLog {
  let path: String
  private let file: Int32

  /// Opens the log for appending. Lines of steps after `step` are dropped: a resumed run writes them again.
  init(_ path: String, keepingUpTo step: Int) throws(FileError) {
    self.path = path
    var kept: [String] = []
    if step > 0, Folder.isFile(path) {
      var lines = try LineReader(path)
      while let line = try lines.next() {
        // A line that a crash cut short is dropped, too.
        guard let at = (try? JSON(parsing: line.bytes))?["step"]?.int, at <= step else { continue }
        kept.append(String(decoding: line.bytes, as: UTF8.self))
      }
    }
    try WholeFile.write(kept.map { $0 + "\n" }.joined(), to: path)
    file = open(path, O_WRONLY | O_APPEND)
    guard file >= 0 else {
      throw FileError(.cannotCreate, path, "cannot be opened for writing", cause: String(cString: strerror(errno)))
    }
  }

  deinit { close(file) }

  func append(_ line: JSON) throws(FileError) {
    let text = line.text() + "\n"
    let written = text.utf8CString.withUnsafeBytes { write(file, $0.baseAddress, text.utf8.count) }
    guard written == text.utf8.count else {
      throw FileError(.io, path, "a line could not be written", cause: String(cString: strerror(errno)))
    }
  }
}
