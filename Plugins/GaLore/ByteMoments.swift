import Engine

/// Moments in one byte an entry: the nearest entry of a code book, times the peak of its block.
///
/// Books as bitsandbytes has them: for i = 0…6 the midpoints of [0.1, 1] in 2^i equal parts times 10^(i−6), with both signs, and 0 and 1
/// (signed); in 2^(i+1) parts, positive alone (unsigned). −1 is in neither.
public struct ByteMoments: Sendable {
  /// Entries that share a peak, and how many entries there must be for bytes to be worth it.
  public struct Layout: Sendable, Hashable {
    public var block: Int
    public var smallest: Int

    public init(block: Int, smallest: Int) {
      self.block = block
      self.smallest = smallest
    }
  }

  let block: Int
  let isSigned: Bool
  var codes: [UInt8]
  var peaks: [Float]

  init(count: Int, block: Int, isSigned: Bool) {
    self.block = block
    self.isSigned = isSigned
    codes = [UInt8](repeating: Self.zero(isSigned), count: count)
    peaks = [Float](repeating: 0, count: (count + block - 1) / block)
  }

  /// Encodes row-major entries.
  init(_ values: [Float], block: Int, isSigned: Bool) {
    self.init(count: values.count, block: block, isSigned: isSigned)
    let book = Self.book(isSigned)
    for (index, start) in stride(from: 0, to: values.count, by: block).enumerated() {
      let range = start..<min(values.count, start + block)
      let peak = values[range].reduce(0) { max($0, abs($1)) }
      peaks[index] = peak
      guard peak > 0 else { continue }
      for i in range {
        var code = Self.nearest(values[i] / peak, in: book)
        // Signs survive: a negative moment never turns into 0 or more.
        if isSigned, values[i] < 0, book[code] >= 0 { code -= 1 }
        codes[i] = UInt8(code)
      }
    }
  }

  /// The entries, row-major.
  var values: [Float] {
    let book = Self.book(isSigned)
    return codes.indices.map { book[Int(codes[$0])] * peaks[$0 / block] }
  }

  /// The book in ascending order; index of an entry is its code.
  static func book(_ isSigned: Bool) -> [Float] { isSigned ? signed : unsigned }

  private static let signed = make { 1 << $0 }.flatMap { [-$0, $0] }.withEnds
  private static let unsigned = make { 2 << $0 }.withEnds

  private static func zero(_ isSigned: Bool) -> UInt8 { UInt8(book(isSigned).firstIndex(of: 0) ?? 0) }

  private static func make(_ parts: (Int) -> Int) -> [Float] {
    (0..<7).flatMap { i -> [Float] in
      let (count, power) = (parts(i), (i..<6).reduce(1.0) { power, _ in power / 10 })
      return (0..<count).map { Float((0.1 + 0.9 * (Double($0) + 0.5) / Double(count)) * power) }
    }
  }

  private static func nearest(_ value: Float, in book: [Float]) -> Int {
    var (low, high) = (0, book.count - 1)
    while high - low > 1 {
      let middle = (low + high) / 2
      if book[middle] <= value { low = middle } else { high = middle }
    }
    return value - book[low] <= book[high] - value ? low : high
  }
}

extension [Float] {
  fileprivate var withEnds: [Float] { (self + [0, 1]).sorted() }
}
