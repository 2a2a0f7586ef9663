/// The lines of a text file one after the other, as JSONL wants them: blank lines are passed over but counted.
public struct LineReader {
  public struct Line {
    /// Counted from 1.
    public var number: Int
    /// Without the line's end (`\n` or `\r\n`). Valid while the reader, or a copy of it, lives.
    public var bytes: UnsafeRawBufferPointer
  }

  public let maximumLineBytes: Int
  private let file: MappedFile
  private var at = 0
  private var number = 0

  public var path: String { file.path }

  public init(_ path: String, maximumLineBytes: Int = 1 << 24) throws(FileError) {
    file = try MappedFile(path)
    try file.refuseLFSPointer()
    self.maximumLineBytes = min(max(maximumLineBytes, 0), 1 << 40)
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    if file.bytes.starts(with: mark) { at = mark.count }
  }

  /// The next line that is not blank, `nil` at the end of the file.
  public mutating func next() throws(FileError) -> Line? {
    let bytes = file.bytes
    while at < bytes.count {
      let rest = bytes[at...]
      // No further than a line and its end may reach, so that a file of one endless line is not read through.
      let window = rest.prefix(maximumLineBytes + 2)
      let newline = window.firstIndex(of: UInt8(ascii: "\n"))
      var end = newline ?? rest.endIndex
      number += 1
      let start = at
      at = newline.map { $0 + 1 } ?? bytes.count
      if end > start, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
      guard end - start <= maximumLineBytes else {
        at = bytes.count
        throw FileError(.badData, "\(path):\(number)", "the line is longer than \(maximumLineBytes) bytes")
      }
      let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      return Line(number: number, bytes: line)
    }
    return nil
  }
}
