import Engine
import PEFTKernel

/// NF4 of QLoRA, "Efficient Finetuning of Quantized LLMs" [arXiv:2305.14314, §3]: four bits a weight, the nearest of sixteen
/// quantiles of a normal distribution times the largest magnitude of the weight's block. Blocks run over the rows' ends.
public struct NormalFloat: Quantizer {
  /// Elements that share a peak.
  public let blockSize: Int
  /// Whether the peaks are coded too, in eight bits: 4.127 bits a weight instead of 4.5, for blocks of 64.
  public let isNested: Bool

  public init(blockSize: Int = 64, isNested: Bool = false) throws(Refusal) {
    guard (32...4096).contains(blockSize), blockSize.nonzeroBitCount == 1 else {
      let nearest = (5...12).map { 1 << $0 }.min { abs($0 - blockSize) < abs($1 - blockSize) } ?? 64
      throw Refusal("block_size is \(blockSize), but must be a power of two from 32 to 4096", remedy: "use \(nearest)")
    }
    self.blockSize = blockSize
    self.isNested = isNested
  }

  public var wantsGram: Bool { false }

  public func quantized(_ weight: Tensor, gram: Tensor?) throws(Refusal) -> QuantizedWeight {
    let values = try checked(weight, nil).weight.values
    let (codes, peaks) = Self.codes(values, blockSize, Self.book)
    return QuantizedWeight(
      .normalFloat(
        NormalFloatCodes(
          rows: weight.rows, columns: weight.columns, blockSize: blockSize, codes: codes,
          peaks: isNested ? .nested(Self.nested(peaks)) : .floats(FrozenBytes(peaks)))))
  }

  private static let book = CodeBook(NormalFloatCodes.book)

  /// Codes of the values against the book, by blocks, each divided by its largest magnitude.
  private static func codes(_ values: [Double], _ blockSize: Int, _ book: CodeBook) -> (codes: [UInt8], peaks: [Float]) {
    var codes = [UInt8](repeating: 0, count: values.count)
    var peaks: [Float] = []
    for start in stride(from: 0, to: values.count, by: blockSize) {
      let block = start..<min(start + blockSize, values.count)
      let peak = Float(values[block].reduce(0) { max($0, abs($1)) })
      let divisor = max(Double(peak), 1e-38)
      for i in block { codes[i] = book.code(min(1, max(-1, values[i] / divisor))) }
      peaks.append(peak)
    }
    return (codes, peaks)
  }

  private static func nested(_ peaks: [Float]) -> NestedPeaks {
    let offset = Float(peaks.reduce(0) { $0 + Double($1) } / Double(max(1, peaks.count)))
    let (codes, outer) = codes(
      peaks.map { Double($0) - Double(offset) }, NestedPeaks.blockSize, CodeBook(CodeBook.dynamic))
    return NestedPeaks(
      codes: FrozenBytes(codes), peaks: FrozenBytes(outer), offset: offset, map: FrozenBytes(CodeBook.dynamic))
  }
}

/// Ascending values that codes stand for.
public struct CodeBook: Sendable {
  public let values: [Float]
  private let midpoints: [Double]

  public init(_ values: [Float]) {
    self.values = values
    midpoints = zip(values, values.dropFirst()).map { (Double($0) + Double($1)) / 2 }
  }

  /// The index of the nearest value; a tie takes the lower.
  public func code(_ value: Double) -> UInt8 {
    var (low, high) = (0, midpoints.count)
    while low < high {
      let middle = (low + high) / 2
      if midpoints[middle] < value { low = middle + 1 } else { high = middle }
    }
    return UInt8(low)
  }

  /// The signed dynamic map of eight bits: 0, 1, and ±10^(i − 6) times the centres of 2^i equal bins of [0.1, 1] for i = 0 … 6.
  /// In single precision, as files hold it. Its largest negative value is −0.99296875: it is not symmetric.
  public static let dynamic: [Float] = {
    var values: [Float] = [0, 1]
    var decade = 1e-6
    for i in 0..<7 {
      let bins = 1 << i
      let step = (1 - Float(0.1)) / Float(bins)
      // As torch.linspace: from either end to the middle.
      func border(_ k: Int) -> Float { k < (bins + 1) / 2 ? 0.1 + step * Float(k) : 1 - step * Float(bins - k) }
      for k in 0..<bins {
        let centre = (border(k) + border(k + 1)) / 2
        values += [Float(decade) * centre, -Float(decade) * centre]
      }
      decade = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 1][i]
    }
    return values.sorted()
  }()
}
