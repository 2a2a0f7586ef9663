import Files
import Testing

/// PGM and PPM files as people have them, and as nobody should.
@Suite struct NetpbmTests {
  private func image(_ bytes: [UInt8]) throws -> NetpbmImage {
    let scratch = try Scratch()
    return try NetpbmImage(scratch.put("image", bytes))
  }

  private func image(_ text: String, _ rest: [UInt8] = []) throws -> NetpbmImage { try image(Array(text.utf8) + rest) }

  @Test func fourFormatsAreOne() throws {
    let wanted: [UInt8] = [1, 4, 2, 5, 3, 6]
    let plain = try image("P3\n2 1\n255\n1 2 3\n4 5 6\n")
    #expect(plain.levels == wanted)
    #expect((plain.channels, plain.height, plain.width) == (3, 1, 2))
    #expect(try image("P6 2 1 255\n", [1, 2, 3, 4, 5, 6]) == plain)
    let grey = try image("P2 3 2 255 1 2 3 4 5 6")
    #expect((grey.channels, grey.height, grey.width) == (1, 2, 3))
    #expect(grey.levels == [1, 2, 3, 4, 5, 6])
    #expect(try image("P5\n3 2\n255\n", [1, 2, 3, 4, 5, 6]) == grey)
    // What stands for blanks may be samples.
    #expect(try image("P5 3 2 255 ", [32, 10, 35, 13, 9, 32]).levels == [32, 10, 35, 13, 9, 32])
  }

  @Test func commentsAreBlanks() throws {
    let text = "P2# a\n# b\r3 # c 9\n2#d\n255 # e\n 1 2#f\n3 4 5\n# g\n6 # h"
    #expect(try image(text).levels == [1, 2, 3, 4, 5, 6])
    #expect(try image("P5\n# a\n1 # b\n1\n255#c\n", [7]).levels == [7])
    #expect(try image("P5 1 1 255\n", [7, 10, 32]).levels == [7])
  }

  /// What Pillow 13 gives for the same files.
  @Test func samplesComeToEightBits() throws {
    #expect(try image("P3\n# c\n2 1 # d\n1000\n0 100 300\n500 999 1000\n").levels == [0, 128, 26, 255, 76, 255])
    let raw = [0, 100, 300, 500, 999, 1000].flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    #expect(try image("P6 2 1 1000\n", raw).levels == [0, 128, 26, 255, 76, 255])
    #expect(try image("P2 3 1 15 0 7 15").levels == [0, 119, 255])
    #expect(try image("P5 2 1 65535\n", [0x80, 0x80, 0xFF, 0xFF]).levels == [128, 255])
    #expect(try image("P2 2 1 1 0 1").levels == [0, 255])
  }

  @Test(arguments: [
    ("P2 0 1 255 1", "has 0 for the width (1 to 65536 is due"),
    ("P2 70000 1 255 1", "has 70000 for the width (1 to 65536 is due"),
    ("P5 65536 65536 65535\n1234", "is cut short (65536 × 65536 grey samples are 8589934592 bytes at least, there are 4"),
    ("P6 65536 65536 65535\n1234", "is cut short (65536 × 65536 colour samples are 25769803776 bytes at least, there are 4"),
    ("P2 65536 65536 255 1 2", "is cut short (65536 × 65536 grey samples are 8589934591 bytes at least"),
    ("P2 99999999999999999999 1 255 1", "has no fit number for the width (more than ten digits"),
    ("P2 1 1 0 0", "has 0 for the largest sample (1 to 65535 is due"),
    ("P2 1 1 65536 0", "has 65536 for the largest sample"),
    ("P2 1 1 255 256", "has 256 for a sample (0 to 255 is due"),
    ("P2 1 1 255 -1", "has no number for a sample (byte 11)"),
    ("P2 2 1 255 1 x", "has no number for a sample"),
    ("P2 2 1 255 1x 2", "has no number for a sample"),
    ("P2 2 1 255     ", "is cut short (a sample is missing"),
    ("P2 1 1 255 7 8", "has more than one image (1 bytes behind the first"),
    ("P5 1 1 255\nab", "has more than one image"),
    ("P5 1 1 9\na", "has a sample of 97 (the largest is 9"),
    ("P2", "is cut short (the width is missing"),
    ("P2 3 #", "is cut short (the height is missing"),
    ("", "is no image that can be read"),
    ("hello", "is no image that can be read (PGM and PPM can (P2, P3, P5, P6)); convert it"),
    ("GIF89a", "is a GIF image, which is not decoded here; convert it to PGM or PPM, by ImageMagick's `magick IN OUT.ppm` or"),
    ("P4 1 1\n0", "is a PBM image of single bits"),
    ("P7\nWIDTH 1", "is a PAM image"),
    ("version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
  ])
  func whatIsWrongIsTold(_ text: String, _ wanted: String) throws {
    let scratch = try Scratch()
    let told = message(scratch) { _ = try NetpbmImage(scratch.put("a.pgm", text)) }
    #expect(told?.hasPrefix("a.pgm: " + wanted) == true, "\(told ?? "")")
  }

  @Test func otherFormatsAreRefusedByName() throws {
    let scratch = try Scratch()
    let beginnings: [(bytes: [UInt8], name: String)] = [
      ([0xFF, 0xD8, 0xFF, 0xE0], "a JPEG image"), ([0x89, 0x50, 0x4E, 0x47, 0x0D], "a PNG image"),
      (Array("RIFFabcdWEBPVP8 ".utf8), "a WebP image"), (Array("MM".utf8) + [0, 42], "a TIFF image"),
      ([0, 0, 0, 32] + Array("ftypavif".utf8), "an AVIF or HEIC image"), (Array("BM1234".utf8), "a BMP image"),
    ]
    for (bytes, name) in beginnings {
      let told = message(scratch) { _ = try NetpbmImage(scratch.put("a", bytes)) }
      #expect(told?.hasPrefix("a: is \(name), which is not decoded here; convert it to PGM or PPM") == true, "\(told ?? "")")
    }
    #expect(message(scratch) { _ = try NetpbmImage(scratch["none"]) }?.hasPrefix("none: cannot be read") == true)
    #expect(message(scratch) { _ = try NetpbmImage(scratch.path) }?.contains("is a folder") == true)
    #expect(message(scratch) { _ = try NetpbmImage("/dev/zero") }?.contains("is no ordinary file") == true)
  }
}
