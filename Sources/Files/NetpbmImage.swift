/// An image of the netpbm formats PGM (grey) and PPM (colour), plain (P2, P3) or raw (P5, P6), of 8 or 16 bits a sample.
///
/// Pictures in other formats are refused by name: none of their decoders is among this project's dependencies.
public struct NetpbmImage: Sendable, Hashable {
  /// 1 for grey; 3 for red, green, blue.
  public let channels: Int
  public let height: Int
  public let width: Int
  /// Levels from 0 to 255 in the order [channels, height, width]: round(255 · sample / largest sample), halves to the even one, as
  /// Pillow brings samples to 8 bits.
  public let levels: [UInt8]

  /// The largest height or width.
  public static let maximumSide = 1 << 16

  /// Reads one image. Every error names the byte at which the file goes wrong.
  public init(_ path: String) throws(FileError) {
    let file = try MappedFile(path)
    try file.refuseLFSPointer()
    self = try file.withBytes { bytes throws(FileError) in
      var reader = NetpbmReader(path, bytes)
      return try reader.image()
    }
  }

  fileprivate init(channels: Int, height: Int, width: Int, levels: [UInt8]) {
    self.channels = channels
    self.height = height
    self.width = width
    self.levels = levels
  }
}

private struct NetpbmReader {
  private let path: String
  private let bytes: UnsafeRawBufferPointer
  private var at = 0

  init(_ path: String, _ bytes: UnsafeRawBufferPointer) {
    self.path = path
    self.bytes = bytes
  }

  mutating func image() throws(FileError) -> NetpbmImage {
    let (channels, isPlain) = try kind()
    at = 2
    let width = try number("the width", in: 1...NetpbmImage.maximumSide)
    let height = try number("the height", in: 1...NetpbmImage.maximumSide)
    // The one blank behind this number belongs to it: what follows are samples.
    let largest = try number("the largest sample", in: 1...65535)
    let count = channels * height * width
    let sampleSize = largest < 256 ? 1 : 2
    // Plain samples are a digit and a blank at least; so nothing is allotted that the file does not fill.
    let due = isPlain ? 2 * count - 1 : sampleSize * count
    guard bytes.count - at >= due else {
      throw fault(
        "is cut short",
        "\(height) × \(width) \(channels == 1 ? "grey" : "colour") samples are \(due) bytes at least, there are \(bytes.count - at)"
      )
    }
    let scale = (0...largest).map { UInt8((Double($0) / Double(largest) * 255).rounded(.toNearestOrEven)) }
    var levels = [UInt8](repeating: 0, count: count)
    let plane = height * width
    for place in 0..<plane {
      for channel in 0..<channels {
        let sample = isPlain ? try number("a sample", in: 0...largest) : try raw(sampleSize, largest)
        levels[channel * plane + place] = scale[sample]
      }
    }
    skipBlanks()
    guard at == bytes.count else {
      throw fault("has more than one image", "\(bytes.count - at) bytes behind the first", remedy: "give each a file of its own")
    }
    return NetpbmImage(channels: channels, height: height, width: width, levels: levels)
  }

  private func kind() throws(FileError) -> (channels: Int, isPlain: Bool) {
    switch String(decoding: bytes.prefix(2), as: UTF8.self) {
    case "P2": return (1, true)
    case "P3": return (3, true)
    case "P5": return (1, false)
    case "P6": return (3, false)
    default: break
    }
    if let other = Self.signatures.first(where: { bytes.dropFirst($0.at).starts(with: $0.bytes) }) {
      throw FileError(
        .badData, path, "is \(other.name), which is not decoded here",
        remedy: "convert it to PGM or PPM, by ImageMagick's `magick IN OUT.ppm`"
          + (other.netpbm.map { " or netpbm's `\($0)`" } ?? ""))
    }
    throw FileError(
      .badData, path, "is no image that can be read", cause: "PGM and PPM can (P2, P3, P5, P6)",
      remedy: "convert it with ImageMagick, `magick IN OUT.ppm`, or take it out of the data")
  }

  /// How the files of other formats begin.
  private static let signatures: [(name: String, netpbm: String?, at: Int, bytes: [UInt8])] = [
    ("a JPEG image", "jpegtopnm", 0, [0xFF, 0xD8, 0xFF]),
    ("a PNG image", "pngtopnm", 0, [0x89, 0x50, 0x4E, 0x47]),
    ("a GIF image", "giftopnm", 0, Array("GIF8".utf8)),
    ("a TIFF image", "tifftopnm", 0, [0x49, 0x49, 0x2A, 0x00]),
    ("a TIFF image", "tifftopnm", 0, [0x4D, 0x4D, 0x00, 0x2A]),
    ("a WebP image", "webptopnm", 8, Array("WEBP".utf8)),
    ("an AVIF or HEIC image", nil, 4, Array("ftyp".utf8)),
    ("a JPEG 2000 image", "jpeg2ktopam", 4, Array("jP  ".utf8)),
    ("a BMP image", "bmptopnm", 0, Array("BM".utf8)),
    ("a PBM image of single bits", "pbmtopgm 1 1", 0, Array("P1".utf8)),
    ("a PBM image of single bits", "pbmtopgm 1 1", 0, Array("P4".utf8)),
    ("a PAM image", "pamtopnm", 0, Array("P7".utf8)),
    ("a PFM image", "pfmtopam | pamtopnm", 0, Array("PF".utf8)),
    ("a PFM image", "pfmtopam | pamtopnm", 0, Array("Pf".utf8)),
  ]

  /// A sample of the raw formats, the high byte first. That there is one has been checked.
  private mutating func raw(_ size: Int, _ largest: Int) throws(FileError) -> Int {
    let sample = size == 1 ? Int(bytes[at]) : Int(bytes[at]) << 8 | Int(bytes[at + 1])
    guard sample <= largest else { throw fault("has a sample of \(sample)", "the largest is \(largest)") }
    at += size
    return sample
  }

  /// A whole number, the blanks and comments before it, and the one blank or comment that ends it.
  private mutating func number(_ what: String, in range: ClosedRange<Int>) throws(FileError) -> Int {
    skipBlanks()
    let start = at
    var value = 0
    while at < bytes.count, case let digit = bytes[at], (0x30...0x39).contains(digit) {
      // Ten digits fit, and no number here has as many.
      guard at - start < 10 else { throw fault("has no fit number for \(what)", "more than ten digits") }
      value = value * 10 + Int(digit - 0x30)
      at += 1
    }
    guard at > start else {
      throw fault(
        at < bytes.count ? "has no number for \(what)" : "is cut short", at < bytes.count ? nil : "\(what) is missing")
    }
    guard range.contains(value) else {
      throw fault("has \(value) for \(what)", "\(range.lowerBound) to \(range.upperBound) is due")
    }
    if at < bytes.count {
      if bytes[at] == UInt8(ascii: "#") {
        skipComment()
      } else if Self.isBlank(bytes[at]) {
        at += 1
      } else {
        throw fault("has no number for \(what)")
      }
    }
    return value
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  private mutating func skipBlanks() {
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "#") {
        skipComment()
      } else if Self.isBlank(bytes[at]) {
        at += 1
      } else {
        return
      }
    }
  }

  /// To behind the line's end.
  private mutating func skipComment() {
    while at < bytes.count, bytes[at] != 0x0A, bytes[at] != 0x0D { at += 1 }
    if at < bytes.count { at += 1 }
  }

  private func fault(
    _ what: String, _ cause: String? = nil, remedy: String = "convert or copy it again"
  ) -> FileError {
    FileError(.badData, path, what, cause: [cause, "byte \(at)"].compactMap(\.self).joined(separator: ", "), remedy: remedy)
  }
}
