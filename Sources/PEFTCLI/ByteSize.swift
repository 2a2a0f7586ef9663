import ArgumentParser

/// A number of bytes as it is written on a command line: `5GB`, `500MB`, in powers of ten, as `transformers` counts them.
struct ByteSize {
  let bytes: Int

  static func parse(_ text: String) throws -> ByteSize {
    let units: [(ending: String, factor: Int)] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000)]
    let upper = text.uppercased()
    for (ending, factor) in units where upper.hasSuffix(ending) {
      guard let number = Double(upper.dropLast(2)), number > 0, number * Double(factor) < 0x1p60 else { break }
      return ByteSize(bytes: max(1, Int(number * Double(factor))))
    }
    throw ValidationError("\(text) is no size: write a number with KB, MB or GB, 5GB say")
  }
}
