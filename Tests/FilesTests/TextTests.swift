import Files
import Testing

@Suite struct TextTests {
  static func lines(_ path: String, maximum: Int = 1 << 20) throws -> [String] {
    var reader = try LineReader(path, maximumLineBytes: maximum)
    var lines: [String] = []
    while let line = try reader.next() { lines.append("\(line.number):\(String(decoding: line.bytes, as: UTF8.self))") }
    return lines
  }

  @Test(arguments: [
    ("", []), ("a", ["1:a"]), ("a\n", ["1:a"]), ("a\r\n\n \t\nb", ["1:a", "4:b"]), ("\u{FEFF}a\nb\n", ["1:a", "2:b"]), ("\n", []),
    ("a\rb\n", ["1:a\rb"]),
  ])
  func readsLines(_ text: String, _ expected: [String]) throws {
    let scratch = try Scratch()
    #expect(try Self.lines(scratch.put("f", text)) == expected)
  }

  @Test func boundsLines() throws {
    let scratch = try Scratch()
    let path = try scratch.put("f", "12345\r\n123456\n")
    #expect(try Self.lines(path, maximum: 6) == ["1:12345", "2:123456"])
    #expect(message(scratch) { _ = try Self.lines(path, maximum: 5) } == "f:2: the line is longer than 5 bytes")
    try scratch.put("f", String(repeating: "x", count: 100))
    #expect(message(scratch) { _ = try Self.lines(path, maximum: 5) } == "f:1: the line is longer than 5 bytes")
  }

  @Test func readsText() throws {
    let scratch = try Scratch()
    #expect(try TextFile.read(scratch.put("f", "\u{FEFF}é\n")) == "é\n")
    #expect(try TextFile.read(scratch.put("f", "")) == "")
    #expect(message(scratch) { _ = try TextFile.read(scratch.put("f", [0x61, 0xFF])) } == "f: is not UTF-8 text")
    #expect(
      message(scratch) { _ = try TextFile.read(scratch.put("f", "abc"), maximumBytes: 2) }
        == "f: is too large (3 bytes, at most 2 are read)")
    #expect(try TextFile.readJSON(scratch.put("f", "[1]")) == [1])
  }

  @Test func listsFolders() throws {
    let scratch = try Scratch()
    for name in ["b", "a", ".c"] { try scratch.put(name, "") }
    #expect(try Folder.names(in: scratch.path) == [".c", "a", "b"])
    #expect(message(scratch) { _ = try Folder.names(in: scratch["no"]) } == "no: cannot be listed (No such file or directory)")
    #expect(message(scratch) { _ = try Folder.names(in: scratch["a"]) } == "a: cannot be listed (Not a directory)")
  }
}
