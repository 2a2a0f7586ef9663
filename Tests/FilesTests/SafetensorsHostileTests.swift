import Files
import Testing

private let malformed = "; save it again with a program that keeps to the format"
private let damaged = "; copy or download it again"

/// Every way a stranger's file can lie, and what is said about it.
@Suite struct SafetensorsHostileTests {
  static func tensor(_ name: String, _ dtype: String, _ shape: String, _ offsets: String) -> String {
    "\"\(name)\": {\"dtype\": \"\(dtype)\", \"shape\": \(shape), \"data_offsets\": \(offsets)}"
  }

  @Test(arguments: [
    ("{\"a\": 1}", 0, "f: tensor 'a' is described by no JSON object" + malformed),
    ("[]", 0, "f: has a header that is no JSON object" + malformed),
    ("", 0, "f: has a header that is not JSON (byte 8: the document ends where a value is expected)" + damaged),
    ("{\"a\": ", 0, "f: has a header that is not JSON (byte 14: the document ends where a value is expected)" + damaged),
    (
      "{\(tensor("a", "U8", "[1]", "[0,1]")), \(tensor("a", "U8", "[1]", "[1,2]"))}", 2,
      "f: has a header that is not JSON (byte 68: duplicate key \"a\")" + damaged
    ),
    (
      "{\(tensor("\u{E9}", "U8", "[1]", "[0,1]")), \(tensor("e\u{301}", "U8", "[1]", "[1,2]"))}", 2,
      "f: has two tensors 'e\u{301}'" + malformed
    ),
    ("{\"__metadata__\": []}", 0, "f: has a __metadata__ that is no JSON object" + malformed),
    ("{\"__metadata__\": {\"k\": 1}}", 0, "f: has a __metadata__ 'k' that is no text" + malformed),
    (
      "{\(tensor("a", "F8_E4M3", "[1]", "[0,1]"))}", 1,
      "f: tensor 'a' has the unknown dtype 'F8_E4M3' (known: F64 F32 F16 BF16 I64 I32 U32 I16 I8 U8 BOOL); convert it to one of these"
    ),
    ("{\"a\": {\"shape\": [], \"data_offsets\": [0, 4]}}", 4, "f: tensor 'a' has no dtype" + malformed),
    ("{\"a\": {\"dtype\": \"F32\", \"data_offsets\": [0, 4]}}", 4, "f: tensor 'a' has no shape" + malformed),
    ("{\"a\": {\"dtype\": \"F32\", \"shape\": []}}", 4, "f: tensor 'a' has no pair of data_offsets" + malformed),
    ("{\(tensor("a", "F32", "[1]", "[0]"))}", 4, "f: tensor 'a' has no pair of data_offsets" + malformed),
    ("{\(tensor("a", "F32", "[1]", "[0.0, 4.0]"))}", 4, "f: tensor 'a' has no pair of data_offsets" + malformed),
    ("{\(tensor("a", "F32", "[-1]", "[0,4]"))}", 4, "f: tensor 'a' has a shape that is no list of sizes" + malformed),
    ("{\(tensor("a", "F32", "[1.0]", "[0,4]"))}", 4, "f: tensor 'a' has a shape that is no list of sizes" + malformed),
    (
      "{\(tensor("a", "F32", "[99999999999999999999]", "[0,4]"))}", 4,
      "f: tensor 'a' has a shape that is no list of sizes" + malformed
    ),
    (
      "{\(tensor("a", "F32", "[4294967296, 4294967296]", "[0,0]"))}", 0,
      "f: tensor 'a' has a shape whose product is too large" + malformed
    ),
    (
      "{\(tensor("a", "F32", "[4611686018427387904, 4, 0]", "[0,0]"))}", 0,
      "f: tensor 'a' has a shape whose product is too large" + malformed
    ),
    (
      "{\(tensor("a", "F32", "[2]", "[0,8]"))}", 4,
      "f: tensor 'a' lies outside the file (data_offsets 0, 8 in 4 bytes of data); copy or download it again"
    ),
    (
      "{\(tensor("a", "F32", "[1]", "[-4,0]"))}", 4,
      "f: tensor 'a' lies outside the file (data_offsets -4, 0 in 4 bytes of data); copy or download it again"
    ),
    (
      "{\(tensor("a", "F32", "[1]", "[9223372036854775803,9223372036854775807]"))}", 4,
      "f: tensor 'a' lies outside the file (data_offsets 9223372036854775803, 9223372036854775807 in 4 bytes of data); "
        + "copy or download it again"
    ),
    (
      "{\(tensor("a", "F32", "[1]", "[-9223372036854775808,9223372036854775807]"))}", 4,
      "f: tensor 'a' lies outside the file (data_offsets -9223372036854775808, 9223372036854775807 in 4 bytes of data); "
        + "copy or download it again"
    ),
    ("{\(tensor("a", "F32", "[1]", "[4,0]"))}", 4, "f: tensor 'a' begins after its end (data_offsets 4, 0)" + malformed),
    ("{\(tensor("a", "F32", "[2]", "[0,4]"))}", 4, "f: tensor 'a' has 4 bytes where F32 [2] needs 8" + malformed),
    (
      "{\(tensor("a", "F32", "[1]", "[0,4]")), \(tensor("b", "F32", "[1]", "[2,6]"))}", 6,
      "f: tensor 'b' overlaps the tensor before it" + malformed
    ),
    (
      "{\(tensor("a", "F32", "[2]", "[0,8]")), \(tensor("b", "F32", "[0]", "[4,4]"))}", 8,
      "f: tensor 'b' overlaps the tensor before it" + malformed
    ),
    (
      "{\(tensor("a", "F32", "[1]", "[0,4]")), \(tensor("b", "F32", "[1]", "[6,10]"))}", 10,
      "f: has 2 bytes of no tensor before tensor 'b'" + malformed
    ),
    ("{\(tensor("a", "F32", "[1]", "[0,4]"))}", 7, "f: has 3 bytes of no tensor at its end" + damaged),
    ("{}", 1, "f: has 1 bytes of no tensor at its end" + damaged),
    (
      "{\"a\\n\\u001b[2J\": 1}", 0, "f: tensor 'a\\u{a}\\u{1b}[2J' is described by no JSON object" + malformed
    ),
    (
      "{\"a\": [[[[[[[[[1]]]]]]]]]}", 0, "f: has a header that is not JSON (byte 21: nested deeper than 8 levels)" + damaged
    ),
  ])
  func refuses(_ header: String, _ data: Int, _ expected: String) throws {
    let scratch = try Scratch()
    let path = try scratch.put("f", safetensors(header, data: data))
    #expect(message(scratch) { _ = try SafetensorsFile(path) } == expected)
  }

  @Test(
    arguments: [
      ([], "f: is no safetensors file (0 bytes, 8 at least); copy or download it again"),
      ([1, 2, 3], "f: is no safetensors file (3 bytes, 8 at least); copy or download it again"),
      ([9, 0, 0, 0, 0, 0, 0, 0, 0x7B], "f: is cut short (a header of 9 bytes in a file of 9); copy or download it again"),
      (
        [1, 0xE1, 0xF5, 5, 0, 0, 0, 0, 0x7B],
        "f: is no safetensors file (a header of 100000001 bytes, at most 100000000 allowed)" + damaged
      ),
      (
        [255, 255, 255, 255, 255, 255, 255, 255, 0x7B],
        "f: is no safetensors file (a header of 18446744073709551615 bytes, at most 100000000 allowed)" + damaged
      ),
      (
        Array("<!DOCTYPE html>".utf8),
        "f: is no safetensors file (a header of 5789751444030890300 bytes, at most 100000000 allowed)" + damaged
      ),
    ] as [([UInt8], String)])
  func refusesBeginnings(_ bytes: [UInt8], _ expected: String) throws {
    let scratch = try Scratch()
    let path = try scratch.put("f", bytes)
    #expect(message(scratch) { _ = try SafetensorsFile(path) } == expected)
  }

  @Test func namesPointersOfGitLFS() throws {
    let scratch = try Scratch()
    let path = try scratch.put("f", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    let expected = "f: is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository"
    #expect(message(scratch) { _ = try SafetensorsFile(path) } == expected)
    #expect(message(scratch) { _ = try TextFile.readJSON(path) } == expected)
    #expect(message(scratch) { _ = try LineReader(path) } == expected)
  }

  @Test func everyPrefixOfAFileIsRefused() throws {
    let scratch = try Scratch()
    let whole = safetensors("{\(Self.tensor("a", "F32", "[2]", "[0,8]"))}", data: 8)
    _ = try SafetensorsFile(scratch.put("whole", whole))
    for count in 0..<whole.count {
      let path = try scratch.put("f", Array(whole.prefix(count)))
      #expect(throws: FileError.self) { try SafetensorsFile(path) }
    }
  }

  /// One byte changed anywhere may be harmless or refused, but never ends the process.
  @Test func changedBytesAreSurvived() throws {
    let scratch = try Scratch()
    let whole = safetensors("{\(Self.tensor("a", "F32", "[2]", "[0,8]"))}", data: 8)
    for place in whole.indices {
      for change: UInt8 in [0x01, 0x10, 0x80] {
        var bytes = whole
        bytes[place] ^= change
        guard let file = try? SafetensorsFile(scratch.put("f", bytes)) else { continue }
        for tensor in file.tensors { _ = try file.floats(of: tensor.name) }
      }
    }
  }
}
