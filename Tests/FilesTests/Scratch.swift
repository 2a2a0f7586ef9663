import Files
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A folder of its own for one test, removed with the object.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/files-tests-XXXXXX".utf8CString)
    path = String(cString: try #require(mkdtemp(&template)))
  }

  deinit { try? Folder.remove(path) }

  subscript(_ name: String) -> String { path + "/" + name }

  /// Writes without the room under test.
  @discardableResult
  func put(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = try #require(fopen(self[name], "w"))
    defer { fclose(file) }
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    return self[name]
  }

  @discardableResult
  func put(_ name: String, _ text: String) throws -> String { try put(name, Array(text.utf8)) }

  func names() throws -> [String] { try Folder.names(in: path) }
}

func contents(_ path: String) throws -> [UInt8] { try MappedFile(path).withBytes { Array($0) } }

/// A safetensors file of that header over so many bytes of data.
func safetensors(_ header: String, data: Int = 0) -> [UInt8] {
  let length = header.utf8.count
  return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + header.utf8 + [UInt8](repeating: 0, count: data)
}

/// The error of a body that must fail, in its one line, with the folder's path taken out.
func message(_ scratch: Scratch, _ body: () throws -> Void) -> String? {
  let error = #expect(throws: FileError.self) { try body() }
  return error?.description.replacing(scratch.path + "/", with: "").replacing(scratch.path, with: "DIR")
}
