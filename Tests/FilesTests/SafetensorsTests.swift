import Files
import Testing

@Suite struct SafetensorsTests {
  @Test func writesAndReadsBack() throws {
    let scratch = try Scratch()
    let path = scratch["m.safetensors"]
    try SafetensorsWriter.write(
      [
        .init(name: "z", shape: [2, 2], floats: [1, -2.5, .infinity, 0]), .init(name: "a", shape: [3], ints: [1, -2, .max]),
        .init(name: "h", shape: [3], floats: [1, 65504, 1e-7], as: .f16),
        .init(name: "b", shape: [2], floats: [1.00390625, 3], as: .bf16), .init(name: "d", shape: [], doubles: [.pi]),
        .init(name: "empty", shape: [0, 4], floats: []),
        .init(name: "u", dtype: .u8, shape: [3]) { (sink) throws(FileError) in
          for byte: UInt8 in [7, 8, 9] {
            let result = withUnsafeBytes(of: byte) { raw in Result { () throws(FileError) in try sink(raw) } }
            try result.get()
          }
        },
      ], metadata: ["format": "pt", "a": "é"], to: path)
    let file = try SafetensorsFile(path)
    #expect(file.metadata == ["format": "pt", "a": "é"])
    #expect(file.tensors.map(\.name) == ["a", "d", "empty", "z", "b", "h", "u"])
    #expect(try file.floats(of: "z") == [1, -2.5, .infinity, 0])
    #expect(try file.ints(of: "a") == [1, -2, .max])
    #expect(try file.floats(of: "h") == [1, 65504, 1.1920929e-07])
    #expect(try file.floats(of: "b") == [1, 3])
    #expect(try file.doubles(of: "d") == [.pi])
    #expect(try file.floats(of: "empty") == [])
    #expect(try file.ints(of: "u") == [7, 8, 9])
    #expect(file.entry("z")?.shape == [2, 2])
    #expect(file.entry("z")?.count == 4)
    #expect(file.entry("d")?.count == 1)
    #expect(try file.bytes(of: "z").count == 16)
    for tensor in file.tensors { #expect(tensor.range.lowerBound % tensor.dtype.size == 0) }
    #expect(message(scratch) { _ = try file.ints(of: "z") } == "m.safetensors: tensor 'z' is F32 where integers are wanted")
    #expect(message(scratch) { _ = try file.floats(of: "none") } == "m.safetensors: has no tensor 'none'")
  }

  @Test func sameTensorsGiveSameBytes() throws {
    let scratch = try Scratch()
    let tensors = ["b", "a", "c"].map { SafetensorsWriter.Tensor(name: $0, shape: [1], floats: [1]) }
    try SafetensorsWriter.write(tensors, metadata: ["x": "1", "y": "2", "z": "3"], to: scratch["one"])
    try SafetensorsWriter.write(tensors.reversed(), metadata: ["z": "3", "x": "1", "y": "2"], to: scratch["two"])
    #expect(try contents(scratch["one"]) == contents(scratch["two"]))
    let file = try SafetensorsFile(scratch["one"])
    #expect(file.tensors[0].range.lowerBound % 8 == 0)
    try SafetensorsWriter.write(file.tensors.map { .init(copying: $0, of: file) }, metadata: file.metadata, to: scratch["three"])
    #expect(try contents(scratch["one"]) == contents(scratch["three"]))
  }

  @Test func readsNumbersThatAreNotAligned() throws {
    let scratch = try Scratch()
    let header =
      #"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "b": {"dtype":"F64","shape":[1],"data_offsets":[4,12]}}"#
    for blanks in 0..<8 {
      var bytes = safetensors(header + String(repeating: " ", count: blanks), data: 12)
      bytes.replaceSubrange((bytes.count - 12)..., with: [0, 0, 0x80, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0x40])
      let file = try SafetensorsFile(scratch.put("f", bytes))
      #expect(try file.floats(of: "a") == [1])
      #expect(try file.doubles(of: "b") == [2])
    }
  }

  @Test func refusesToWriteWhatItCouldNotRead() throws {
    let scratch = try Scratch()
    func write(_ tensors: [SafetensorsWriter.Tensor]) -> String? {
      message(scratch) { try SafetensorsWriter.write(tensors, to: scratch["f"]) }
    }
    let one = SafetensorsWriter.Tensor(name: "a", shape: [1], floats: [1])
    #expect(write([one, one]) == "f: tensor 'a' is given twice or reserved")
    #expect(
      write([.init(name: "__metadata__", shape: [1], floats: [1])]) == "f: tensor '__metadata__' is given twice or reserved")
    #expect(write([.init(name: "a", shape: [2], floats: [1])]) == "f: tensor 'a' was given 4 bytes where 8 are due")
    #expect(write([.init(name: "a", shape: [-1], floats: [])]) == "f: tensor 'a' has no possible shape")
    #expect(write([.init(name: "a", shape: [.max, 2], floats: [])]) == "f: tensor 'a' has no possible shape")
    #expect(try scratch.names() == [])
  }

  @Test func mapsFiles() throws {
    let scratch = try Scratch()
    #expect(try MappedFile(scratch.put("empty", "")).bytes.isEmpty)
    #expect(try contents(scratch.put("x", "abc")) == Array("abc".utf8))
    #expect(message(scratch) { _ = try MappedFile(scratch["no"]) } == "no: cannot be read (No such file or directory)")
    #expect(message(scratch) { _ = try MappedFile(scratch.path) } == "DIR: is a folder, not a file")
    #expect(message(scratch) { _ = try MappedFile("/dev/zero") } == "/dev/zero: is no ordinary file")
    #expect(message(scratch) { _ = try MappedFile("") } == ": is no path")
    #expect(message(scratch) { _ = try MappedFile(scratch["x\0y"]) } == "x\\u{0}y: is no path")
    #expect(throws: FileError.self) { try MappedFile(scratch["x/y"]) }
  }
}
