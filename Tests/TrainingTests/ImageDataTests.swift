import Files
import Models
import PEFTKernel
import Testing

@testable import Training

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Images as people have them, and as nobody should.
@Suite struct ImageDataTests {
  private typealias Scratch = RunTests.Scratch
  private typealias Tensor = SafetensorsWriter.Tensor

  private static let grey = ImageShape(channels: 1, height: 1, width: 2)

  /// The rows of a source of which every image can be used.
  private func read(
    _ path: String, _ shape: ImageShape = grey, _ settings: ImagePreprocessing = ImagePreprocessing()
  ) throws -> [DataRow] {
    let (rows, bad) = try ImageData.inspect(path, for: shape, settings: settings)
    #expect(bad.isEmpty)
    return rows
  }

  /// What is told of a source or of its images, without its folder.
  private func faults(_ scratch: Scratch, _ name: String = "", _ shape: ImageShape = grey) -> [String] {
    let path = name.isEmpty ? scratch.path : scratch.path + "/" + name
    var told: [String]
    do throws(FileError) {
      told = try ImageData.inspect(path, for: shape, settings: ImagePreprocessing()).bad.map(\.description)
    } catch {
      told = [error.description]
    }
    return told.map { $0.replacing(scratch.path + "/", with: "").replacing(scratch.path, with: "DIR") }
  }

  private func refusal(_ scratch: Scratch, _ name: String = "", _ shape: ImageShape = grey) -> String? {
    faults(scratch, name, shape).first
  }

  private func put(_ scratch: Scratch, _ name: String, _ text: String) throws {
    let path = scratch.path + "/" + name
    try Folder.create(Folder.split(path).folder)
    try WholeFile.write(text, to: path)
  }

  private func tensors(_ scratch: Scratch, _ tensors: [Tensor], names: String? = nil) throws {
    let path = scratch.path + "/images.safetensors"
    try? Folder.remove(path)
    try SafetensorsWriter.write(tensors, metadata: names.map { ["label_names": $0] } ?? [:], to: path)
  }

  private func bytes(_ name: String, _ shape: [Int], _ bytes: [UInt8]) -> Tensor {
    Tensor(name: name, dtype: .u8, shape: shape) { (sink) throws(FileError) in
      let result = bytes.withUnsafeBytes { raw in Result { () throws(FileError) in try sink(raw) } }
      try result.get()
    }
  }

  // MARK: Folders

  @Test func foldersAreClasses() throws {
    let scratch = try Scratch()
    try put(scratch, "dog/b.pgm", "P2 2 1 255 0 255")
    try put(scratch, "dog/a.pgm", "P2 2 1 255 255 51")
    try put(scratch, "Cat/1.pgm", "P2 2 1 15 3 0")
    try put(scratch, "Cat/.hidden", "nothing")
    try put(scratch, "README.md", "about")
    let images = try read(scratch.path)
    #expect(images.map(\.label) == ["Cat", "dog", "dog"])
    #expect(images.map(\.pixels) == [[0.2, 0], [1, 0.2], [0, 1]])
    #expect(images[1].origin(in: "") == scratch.path + "/dog/a.pgm")
    let colour = try read(scratch.path, ImageShape(channels: 3, height: 1, width: 2))
    #expect(colour[0].pixels == [0.2, 0, 0.2, 0, 0.2, 0])
    #expect(
      refusal(scratch, "", ImageShape(channels: 1, height: 2, width: 2))?.hasPrefix(
        "Cat/1.pgm: images of 1 × 2 do not fit: the model reads 2 × 2; bring them to that size") == true)
  }

  @Test func foldersThatAreNoDataAreRefused() throws {
    let scratch = try Scratch()
    #expect(refusal(scratch)?.hasPrefix("DIR: has no images") == true)
    try put(scratch, "a/1.jpg", "\u{FF}")
    try WholeFile.write([0xFF, 0xD8, 0xFF, 0xE0], to: scratch.path + "/a/1.jpg")
    #expect(refusal(scratch)?.hasPrefix("a/1.jpg: is a JPEG image, which is not decoded here; convert it to PGM or PPM") == true)
    try Folder.remove(scratch.path + "/a/1.jpg")
    #expect(refusal(scratch)?.hasPrefix("a: is a class without images") == true)
    try put(scratch, "a/1.pgm", "P2 2 1 255 0 255")
    try put(scratch, "a/deeper/1.pgm", "P2 2 1 255 0 255")
    #expect(refusal(scratch)?.hasPrefix("a/deeper: is a folder in the folder of a class") == true)
    try Folder.remove(scratch.path + "/a/deeper")
    try put(scratch, "b.PNG", "x")
    #expect(refusal(scratch)?.hasPrefix("b.PNG: is in no class; put it into the folder of its class") == true)
    try Folder.remove(scratch.path + "/b.PNG")
    // Links that lead back, or nowhere.
    #expect(symlink("..", scratch.path + "/a/up") == 0)
    #expect(refusal(scratch)?.hasPrefix("a/up: is a folder in the folder of a class") == true)
    #expect(unlink(scratch.path + "/a/up") == 0 && symlink("self", scratch.path + "/a/self") == 0)
    #expect(refusal(scratch)?.hasPrefix("a/self: cannot be read") == true)
    #expect(unlink(scratch.path + "/a/self") == 0 && mkfifo(scratch.path + "/a/pipe", 0o600) == 0)
    #expect(refusal(scratch)?.hasPrefix("a/pipe: is no ordinary file") == true)
    #expect(unlink(scratch.path + "/a/pipe") == 0)
    #expect(try read(scratch.path).count == 1)
    #expect(refusal(scratch, "none")?.hasPrefix("none: there is no such file or folder; give a .safetensors file") == true)
    #expect(refusal(scratch, "a/1.pgm")?.hasPrefix("a/1.pgm: holds no images that can be trained on") == true)
  }

  // MARK: Rows

  @Test func rowsNameImages() throws {
    let scratch = try Scratch()
    try put(scratch, "in/x.pgm", "P2 2 1 255 0 255")
    try put(scratch, "y.ppm", "P3 2 1 255 255 0 0 10 200 33")
    let rows = "{\"image\": \"in/x.pgm\", \"label\": \"b\"}\n\n{\"image\": \"y.ppm\", \"label\": 7}\n{\"image\": \"./y.ppm\"}\n"
    try put(scratch, "data.jsonl", rows)
    let images = try read(scratch.path + "/data.jsonl")
    #expect(images.labels == ["7", "b"])
    #expect(images.map(\.label) == ["b", "7", nil])
    // Red, and (10, 200, 33), as Pillow converts them to grey.
    #expect(images[1].pixels == [Float(76.0 / 255), Float(124.0 / 255)])
    #expect(images.map { $0.origin(in: "data") } == ["data:1", "data:3", "data:4"])
    try put(scratch, "data.json", "[{\"image\": \"y.ppm\", \"label\": true},\n {\"image\": \"y.ppm\", \"label\": null}]")
    let list = try read(scratch.path + "/data.json")
    #expect(list.map(\.label) == ["true", nil])
    #expect(list.map(\.line) == [1, 2])
  }

  /// Every one of them is told, and the others are there.
  @Test func oneBadImageHidesNoOther() throws {
    let scratch = try Scratch()
    try put(scratch, "x.pgm", "P2 2 1 255 0 255")
    try put(scratch, "short.pgm", "P5 2 2 255\na")
    let named = ["none.pgm", "x.pgm", "short.pgm", "../x.pgm"].map { "{\"image\": \"\($0)\"}" }
    try put(scratch, "data.jsonl", named.joined(separator: "\n") + "\n3\n")
    let told = faults(scratch, "data.jsonl")
    #expect(told.count == 4)
    for (line, fault) in zip(["1: none.pgm cannot be read", "3: short.pgm is cut", "4: names the image", "5: has no"], told) {
      #expect(fault.hasPrefix("data.jsonl:\(line)"), "\(fault)")
    }
    let (rows, _) = try ImageData.inspect(scratch.path + "/data.jsonl", for: Self.grey, settings: ImagePreprocessing())
    #expect(rows.map(\.line) == [2])
    try Folder.remove(scratch.path + "/data.jsonl")
    for name in ["a/1.pgm", "b/3.pgm"] { try put(scratch, "classes/" + name, "P5 2 2 255\na") }
    try put(scratch, "classes/b/2.pgm", "P2 2 1 255 0 255")
    let found = faults(scratch, "classes").map { $0.prefix(26) }
    #expect(found == ["classes/a/1.pgm: is cut sh", "classes/b/3.pgm: is cut sh"])
    try tensors(scratch, [.init(name: "images", shape: [3, 1, 2], floats: [2, 0, 0, 1, 0, -1])])
    #expect(
      faults(scratch, "images.safetensors")
        == ["[0]: holds 2.0", "[2]: holds -1.0"].map {
          "images.safetensors: images\($0); give numbers from 0 to 1, or uint8"
        })
  }

  @Test(arguments: [
    ("{\"image\": \"/etc/passwd\"}", "data.jsonl:1: names the image '/etc/passwd', which is not below the file's own folder"),
    ("{\"image\": \"a/../../x.pgm\"}", "data.jsonl:1: names the image 'a/../../x.pgm', which is not below"),
    ("{\"image\": \"x\\u0000.pgm\"}", "data.jsonl:1: names the image 'x\\u{0}.pgm', which is not below"),
    ("{\"image\": \"x.pgm\"}\n{\"label\": 1}", "data.jsonl:2: has no \"image\"; write rows such as"),
    ("{\"image\": 3}", "data.jsonl:1: has no \"image\""),
    ("[1]", "data.jsonl:1: has no \"image\""),
    ("\n{\"image\": ", "data.jsonl:2: is not JSON"),
    ("{\"image\": \"x.pgm\", \"label\": 1.5}", "data.jsonl:1: has a \"label\" that is no text, whole number or truth value"),
    ("{\"image\": \"x.pgm\", \"label\": \"\"}", "data.jsonl:1: has a \"label\""),
    ("{\"image\": \"none.pgm\"}", "data.jsonl:1: none.pgm cannot be read"),
    ("{\"image\": \"short.pgm\"}", "data.jsonl:1: short.pgm is cut short ("),
    ("{\"image\": \"data.jsonl\"}", "data.jsonl:1: is no image that can be read"),
    ("", "data.jsonl: has no images"),
  ])
  func badRowsAreTold(_ rows: String, _ wanted: String) throws {
    let scratch = try Scratch()
    try put(scratch, "x.pgm", "P2 2 1 255 0 255")
    try put(scratch, "short.pgm", "P5 2 2 255\na")
    try put(scratch, "data.jsonl", rows)
    let told = refusal(scratch, "data.jsonl") ?? ""
    #expect(told.hasPrefix(wanted), "\(told)")
  }

  // MARK: Tensors

  @Test func tensorsAreImages() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/images.safetensors"
    let pixels: [Float] = [0, 0.25, 0.5, 1, 0.75, 0.125]
    for dtype in [StoredType.f32, .f16, .bf16, .f64] {
      try tensors(
        scratch,
        [
          .init(name: "images", shape: [3, 1, 2], floats: pixels, as: dtype),
          .init(name: "labels", shape: [3], ints: [10, 9, 10]),
        ])
      let images = try read(path)
      #expect(images.labels == ["9", "10"])
      #expect(images.map(\.label) == ["10", "9", "10"])
      #expect(images.flatMap(\.pixels) == pixels)
      #expect(images[2].origin(in: path) == path + ": images[2]")
    }
    try tensors(
      scratch, [bytes("images", [2, 1, 1, 2], [0, 51, 255, 102]), bytes("labels", [2], [2, 0])], names: "[\"x\", \"y\", \"z\"]")
    let images = try read(path)
    #expect(images.map(\.label) == ["z", "x"])
    #expect(images.flatMap(\.pixels) == [0, 0.2, 1, 0.4])
    // Without labels there are none.
    try tensors(scratch, [bytes("images", [1, 1, 2], [0, 51])])
    #expect(try read(path).map(\.label) == [nil])
  }

  @Test func levelsAndNumbersAreOne() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/images.safetensors"
    var settings = ImagePreprocessing()
    settings.rescaling = 1 / 127.5
    settings.scales = [.init(mean: 1, deviation: 0.5)]
    try tensors(scratch, [bytes("images", [1, 1, 2], [0, 255])])
    let levels = try read(path, Self.grey, settings)[0].pixels
    try tensors(scratch, [.init(name: "images", shape: [1, 1, 2], floats: [0, 1])])
    #expect(try read(path, Self.grey, settings)[0].pixels == levels)
    #expect(levels == [-2, 2])
  }

  @Test func badTensorsAreTold() throws {
    let scratch = try Scratch()
    func told(_ list: [Tensor], names: String? = nil) throws -> String {
      try tensors(scratch, list, names: names)
      return refusal(scratch, "images.safetensors")?.replacing("images.safetensors: ", with: "") ?? ""
    }
    let good = bytes("images", [2, 1, 2], [0, 1, 2, 3])
    func labels(_ ids: [Int]) -> Tensor { .init(name: "labels", shape: [ids.count], ints: ids) }
    #expect(try told([bytes("image", [1, 1, 2], [0, 1])]) == "has no tensor 'images' (it has image)")
    #expect(try told([bytes("images", [1, 2], [0, 1])]).hasPrefix("has images of shape [1, 2]; [n, height, width] or"))
    #expect(try told([bytes("images", [0, 1, 2], [])]) == "has images of shape [0, 1, 2]")
    #expect(try told([bytes("images", [1 << 40, 0, 1 << 40], [])]) == "has images of shape [1099511627776, 0, 1099511627776]")
    #expect(
      try told([bytes("images", [1, 2, 1, 2], [0, 1, 2, 3])]).hasPrefix("images[0]: an image of 2 channels is none of 1; give"))
    #expect(
      try told([.init(name: "images", shape: [2, 1, 2], floats: [0, 1, 0, 1.5])])
        == "images[1]: holds 1.5; give numbers from 0 to 1, or uint8")
    #expect(try told([.init(name: "images", shape: [1, 1, 2], floats: [0, .nan])]).hasPrefix("images[0]: holds nan"))
    #expect(try told([.init(name: "images", shape: [1, 1, 2], ints: [0, 1])]).hasPrefix("has images of I64; give U8"))
    #expect(try told([good, labels([1])]).hasPrefix("has labels of shape [1] for 2 images"))
    #expect(try told([good, .init(name: "labels", shape: [2], floats: [0, 1])]).contains("is F32 where integers are wanted"))
    #expect(
      try told([good, labels([0, 2])], names: "[\"a\", \"b\"]").hasSuffix("labels[1]: is 2 (label_names has 2 names)"))
    #expect(try told([good, labels([0, -1])], names: "[\"a\", \"b\"]").hasSuffix("labels[1]: is -1 (label_names has 2 names)"))
    for names in ["a, b", "[]", "[\"a\", 1]", "[\"a\", \"a\"]", "{}"] {
      #expect(
        try told([good, labels([0, 0])], names: names).hasPrefix("has a label_names in its metadata that is no JSON list"))
    }
    // A file of bytes would become memory without end.
    let wide = ImageShape(channels: 3, height: 1 << 15, width: 1 << 15)
    try tensors(scratch, [good])
    #expect(
      refusal(scratch, "images.safetensors", wide)?.hasPrefix(
        "images.safetensors: has more images than can be held (2 of 3221225472 numbers each); give fewer") == true)
  }

  // MARK: Few of each, and texts

  @Test func fewShotsAreOfEveryClass() {
    let labels: [Int?] = [0, 1, nil, 2, 0, 1, 0, 1, 0, nil, 0, 1]
    let two = FewShot.choose(labels: labels, count: 2, seed: 3)
    #expect(two == two.sorted())
    #expect(two.map { labels[$0] }.sorted { ($0 ?? -1) < ($1 ?? -1) } == [0, 0, 1, 1, 2])
    #expect(FewShot.choose(labels: labels, count: 2, seed: 3) == two)
    #expect((0..<8).contains { FewShot.choose(labels: labels, count: 2, seed: $0) != two })
    // The fewer are among the more.
    for count in 0..<4 {
      let fewer = Set(FewShot.choose(labels: labels, count: count, seed: 3))
      #expect(fewer.isSubset(of: FewShot.choose(labels: labels, count: count + 1, seed: 3)))
    }
    #expect(FewShot.choose(labels: labels, count: 99, seed: 3) == labels.indices.filter { labels[$0] != nil })
    #expect(FewShot.choose(labels: labels, count: 0, seed: 3).isEmpty)
    #expect(FewShot.choose(labels: labels, count: -1, seed: 3).isEmpty)
    #expect(FewShot.choose(labels: [], count: 2, seed: 3).isEmpty)
    // A class does not mind the others.
    let without = labels.map { $0 == 1 ? nil : $0 }
    #expect(FewShot.choose(labels: without, count: 2, seed: 3) == two.filter { labels[$0] != 1 })
  }

  @Test func everyPlaceIsDrawnAlike() {
    var counts = [Int](repeating: 0, count: 6)
    for seed in 0..<1200 as Range<UInt64> {
      for place in FewShot.choose(labels: [5, 5, 5, 5, 5, 5], count: 2, seed: seed) { counts[place] += 1 }
    }
    // 400 each; a deviation of 16 is one standard deviation.
    #expect(counts.allSatisfy { abs($0 - 400) < 80 }, "\(counts)")
  }

  @Test func labelsBecomeTexts() throws {
    #expect(try ClassPrompts(labels: ["cat", "polar_bear"]).texts == ["a photo of a cat.", "a photo of a polar bear."])
    #expect(try ClassPrompts(labels: ["1"], template: "{{{}}} {{x}}").texts == ["{1} {x}"])
    #expect(try ClassPrompts(labels: [], template: "{}").texts.isEmpty)
    for template in ["a photo", "{} {}", "{0}", "{name}", "a { b", "a } {}", ""] {
      let error = #expect(throws: Refusal.self) { try ClassPrompts(labels: ["a"], template: template) }
      #expect(error?.reason.hasPrefix("the prompt template \"\(template)\" is no text with one place") == true)
    }
    let error = #expect(throws: Refusal.self) { try ClassPrompts(labels: ["a b", "c", "a_b"]) }
    #expect(error?.reason == "the labels 'a b' and 'a_b' become the same text, \"a photo of a a b.\"")
  }
}

extension DataRow {
  fileprivate var pixels: [Float] {
    guard case .image(let pixels, _) = content else { return [] }
    return pixels
  }
}
