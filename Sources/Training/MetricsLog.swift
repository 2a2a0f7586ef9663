import Files
import JSON

/// `metrics.jsonl`: one line for each optimizer step, and one for each evaluation.
final class MetricsLog {
  private let file: AppendingFile

  /// Opens the log for appending. Lines of steps after `step` are dropped: a resumed run writes them again.
  init(_ path: String, keepingUpTo step: Int) throws(FileError) {
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
    file = try AppendingFile(path)
  }

  func append(_ line: JSON) throws(FileError) { try file.append(line: line.text()) }
}
