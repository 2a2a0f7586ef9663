import Files
import Testing

@Suite("GGUF files")
struct GGUFTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private let pairs: [(key: String, value: GGUFValue)] = [
    ("a", .uint8(200)), ("b", .int8(-3)), ("c", .uint16(60_000)), ("d", .int16(-300)), ("e", .uint32(4_000_000_000)),
    ("f", .int32(-5)), ("g", .uint64(1 << 63)), ("h", .int64(-6)), ("i", .float32(0.5)), ("j", .float64(0.1)), ("k", .bool(true)),
    ("l", .string("ä")), ("m", .array([.string("x"), .string("")])), ("n", .array([.array([.uint32(7)]), .array([])])),
  ]

  private func sound() throws -> [UInt8] {
    try GGUFWriter.write(
      pairs, [.init(name: "w", extents: [3, 2], floats: [1, 2, 3, 4, 5, 6]), .init(name: "v", extents: [1], floats: [-1])],
      to: scratch["a.gguf"])
    return try MappedFile(scratch["a.gguf"]).withBytes { Array($0) }
  }

  @Test("what is written is read back")
  func roundTrip() throws {
    _ = try sound()
    let file = try GGUFFile(scratch["a.gguf"])
    #expect(file.metadata == Dictionary(pairs.map { ($0.key, $0.value) }) { first, _ in first })
    #expect(file.tensors.map(\.name) == ["w", "v"])
    #expect(file.tensors[0].extents == [3, 2])
    #expect(file.floats(of: file.tensors[0]) == [1, 2, 3, 4, 5, 6])
    #expect(file.floats(of: file.tensors[1]) == [-1])
    #expect(file.tensors.allSatisfy { $0.range.lowerBound % 32 == 0 })
    #expect(GGUFFile.isGGUF(scratch["a.gguf"]))
  }

  @Test("a file cut short anywhere, or with any byte changed, is read or refused, never trapped on")
  func hostile() throws {
    let bytes = try sound()
    func read(_ bytes: [UInt8]) throws {
      let file = try WholeFile(scratch["b.gguf"])
      try file.write(bytes)
      try file.commit()
      do {
        let file = try GGUFFile(scratch["b.gguf"])
        for tensor in file.tensors { _ = file.floats(of: tensor) }
      } catch {
        #expect(error.kind == .badData)
      }
    }
    for count in stride(from: 0, to: bytes.count, by: 3) { try read(Array(bytes[..<count])) }
    for index in bytes.indices {
      for value: UInt8 in [0, 0x7F, 0xFF] {
        var changed = bytes
        changed[index] = value
        try read(changed)
      }
    }
  }

  @Test("counts and lengths that no file has")
  func lies() throws {
    func number(_ value: UInt64, _ count: Int = 8) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    func heard(_ bytes: [UInt8]) throws -> String {
      let file = try WholeFile(scratch["b.gguf"])
      try file.write(bytes)
      try file.commit()
      do { _ = try GGUFFile(scratch["b.gguf"]) } catch { return error.what + (error.cause.map { " (\($0))" } ?? "") }
      return "nothing was thrown"
    }
    let start: [UInt8] = Array("GGUF".utf8) + number(3, 4)
    let key = number(1) + [0x61]
    func tensor(_ extents: [UInt64], type: UInt64 = 0, offset: UInt64 = 0) -> [UInt8] {
      start + number(1) + number(0) + key + number(UInt64(extents.count), 4) + extents.flatMap { number($0) } + number(type, 4)
        + number(offset)
    }
    #expect(try heard(Array("GGUX".utf8)) == "is no GGUF file")
    #expect(try heard(Array("GGUF".utf8) + number(3 << 24, 4)).contains("the other byte order"))
    #expect(try heard(Array("GGUF".utf8) + number(1, 4)) == "is GGUF of version 1 (versions 2 and 3 can be read)")
    #expect(try heard(start + number(.max) + number(0)).hasPrefix("is cut short"))
    #expect(try heard(start + number(0) + number(1) + number(.max) + [0, 0, 0, 0, 0]).contains("a text of"))
    #expect(
      try heard(start + number(0) + number(1) + key + number(9, 4) + number(0, 4) + number(1 << 62)).contains("an array of"))
    #expect(try heard(start + number(0) + number(1) + key + number(77, 4) + number(0)).contains("unknown type 77"))
    let nested = (0..<6).flatMap { _ in number(9, 4) + number(1) }
    #expect(try heard(start + number(0) + number(1) + key + number(9, 4) + nested).contains("deeper than 4"))
    #expect(
      try heard(start + number(0) + number(2) + (key + number(7, 4) + [1]) + (key + number(7, 4) + [1])).contains(
        "two values for 'a'"))
    #expect(try heard(tensor([.max, .max])).contains("has an extent of"))
    #expect(try heard(tensor([0])).contains("has an extent of 0"))
    #expect(try heard(tensor([8], type: 12)).contains("F32, F16, BF16 and Q8_0 can be read"))
    #expect(try heard(tensor([8], type: 8)).contains("extents that its type cannot have"))
    #expect(try heard(tensor([1], offset: 5)).contains("not aligned"))
    #expect(try heard(tensor([1], offset: 1 << 40)).contains("lies outside the file"))
  }

  @Test("blocks of eight bits")
  func blocks() throws {
    let file = try WholeFile(scratch["q.gguf"])
    func number(_ value: Int, _ count: Int = 8) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    var bytes: [UInt8] = Array("GGUF".utf8) + number(3, 4) + number(1) + number(0)
    bytes += number(1) + [0x61] + number(1, 4) + number(32) + number(8, 4) + number(0)
    bytes += [UInt8](repeating: 0, count: (32 - bytes.count % 32) % 32)
    // 0.5 in half precision, then −16 … 15.
    bytes += [0x00, 0x38] + (0..<32).map { UInt8(bitPattern: Int8($0 - 16)) }
    try file.write(bytes)
    try file.commit()
    let read = try GGUFFile(scratch["q.gguf"])
    #expect(read.floats(of: read.tensors[0]) == (0..<32).map { Float($0 - 16) / 2 })
  }
}
