import Engine
import PEFTKernel

/// A grid of integers for every row and group of consecutive inputs: ŵ = (q − z)·s, q in 0 … L = 2^bits − 1. Zero is always on it.
public struct IntegerGrid: Sendable, Hashable {
  /// 2, 3, 4 or 8.
  public let bits: Int
  /// Inputs that share a grid; nil: one grid a row.
  public let groupSize: Int?
  /// Whether zero is the middle code, and the grid reaches as far below it as above.
  public let isSymmetric: Bool

  public init(bits: Int, groupSize: Int? = nil, isSymmetric: Bool = false) throws(Refusal) {
    guard GridCodes.bitWidths.contains(bits) else {
      let nearest = GridCodes.bitWidths.min { abs($0 - bits) < abs($1 - bits) } ?? 4
      throw Refusal("bits is \(bits), but must be 2, 3, 4 or 8", remedy: "use \(nearest)")
    }
    if let groupSize, groupSize < 1 {
      throw Refusal("group_size is \(groupSize), but must be at least 1", remedy: "use 64, or leave it out for one group a row")
    }
    self.bits = bits
    self.groupSize = groupSize
    self.isSymmetric = isSymmetric
  }

  var levels: Double { Double(1 << bits - 1) }

  /// The group size for that many inputs.
  public func groupSize(for inputs: Int) throws(Refusal) -> Int {
    let size = groupSize ?? inputs
    guard size <= inputs, inputs % size == 0 else {
      let divisors = (1...inputs).filter { inputs % $0 == 0 }
      let nearest = divisors.min { abs($0 - size) < abs($1 - size) } ?? inputs
      throw Refusal("group_size \(size) does not divide the \(inputs) inputs", remedy: "use \(nearest), which does")
    }
    return size
  }

  /// Nearest integer, ties up, with a margin wider than rounding noise: what lies on a tie must not be left to it.
  static func rounded(_ x: Double) -> Double { (x + 0.5 + 1e-5).rounded(.down) }

  /// Scale and zero of the grid for values between `low` and `high`.
  func fit(low: Double, high: Double) -> (scale: Float, zero: UInt8) {
    var (low, high) = (min(0, low), max(0, high))
    if isSymmetric {
      high = max(-low, high)
      low = -high
    }
    if low == 0, high == 0 { (low, high) = (-1, 1) }
    let scale = (high - low) / levels
    let zero = isSymmetric ? Double(1 << (bits - 1)) : min(levels, Self.rounded(-low / scale))
    // A float holds the scale; of weights smaller than floats are fine, none must become zero.
    return (max(Float(scale), .leastNonzeroMagnitude), UInt8(zero))
  }

  /// The code of a value.
  func code(_ value: Double, _ scale: Double, _ zero: Double) -> Double {
    min(levels, max(0, Self.rounded(value / scale) + zero))
  }
}

/// The grids of a weight by group, then row: [groups, outputs].
struct GroupGrids {
  let outputs: Int
  let groupSize: Int
  var scales: [Double]
  var zeros: [Double]

  init(outputs: Int, inputs: Int, groupSize: Int) {
    self.outputs = outputs
    self.groupSize = groupSize
    scales = [Double](repeating: 1, count: inputs / groupSize * outputs)
    zeros = scales
  }

  /// Fits the grids of one group to its columns [groupSize, outputs].
  mutating func fit(_ group: Int, to columns: Tensor, _ grid: IntegerGrid) {
    var low = [Double](repeating: 0, count: outputs)
    var high = low
    columns.withDoubles { values in
      for j in 0..<groupSize {
        for o in 0..<outputs {
          let value = values[j * outputs + o]
          low[o] = min(low[o], value)
          high[o] = max(high[o], value)
        }
      }
    }
    for o in 0..<outputs {
      let (scale, zero) = grid.fit(low: low[o], high: high[o])
      scales[group * outputs + o] = Double(scale)
      zeros[group * outputs + o] = Double(zero)
    }
  }

  /// Fits every group to the columns [inputs, outputs] of a weight.
  mutating func fit(to columns: Tensor, _ grid: IntegerGrid) {
    for group in 0..<columns.rows / groupSize {
      fit(group, to: columns.slice(rows: group * groupSize..<(group + 1) * groupSize), grid)
    }
  }
}

/// Codes and grids of a weight while it is being quantized, column by column.
struct ColumnCodes {
  var grids: GroupGrids
  /// [inputs, outputs].
  var codes: [UInt8]

  init(grids: GroupGrids, inputs: Int) {
    self.grids = grids
    codes = [UInt8](repeating: 0, count: inputs * grids.outputs)
  }

  /// Codes column `input` of values, calling `done` for each row with its value and the value it gets.
  mutating func round(
    _ input: Int, _ column: UnsafePointer<Double>, _ grid: IntegerGrid,
    done: (_ row: Int, _ value: Double, _ coded: Double) -> Void
  ) {
    let outputs = grids.outputs
    let group = input / grids.groupSize * outputs
    for o in 0..<outputs {
      let (scale, zero) = (grids.scales[group + o], grids.zeros[group + o])
      let code = grid.code(column[o], scale, zero)
      codes[input * outputs + o] = UInt8(code)
      done(o, column[o], (code - zero) * scale)
    }
  }

  /// What column `input` decodes to in a row.
  func value(_ input: Int, _ row: Int) -> Double {
    let at = input / grids.groupSize * grids.outputs + row
    return (Double(codes[input * grids.outputs + row]) - grids.zeros[at]) * grids.scales[at]
  }

  /// Packed by rows.
  func packed(bits: Int) -> GridCodes {
    let outputs = grids.outputs
    let (inputs, groups) = (codes.count / outputs, grids.scales.count / outputs)
    func byRows<From, To>(_ values: [From], _ width: Int, _ convert: (From) -> To) -> [To] {
      (0..<outputs * width).map { convert(values[$0 % width * outputs + $0 / width]) }
    }
    return GridCodes(
      rows: outputs, columns: inputs, bits: bits, groupSize: grids.groupSize, codes: byRows(codes, inputs) { $0 },
      scales: byRows(grids.scales, groups) { Float($0) }, zeros: byRows(grids.zeros, groups) { UInt8($0) })
  }
}

extension Tensor {
  /// The elements of a tensor of doubles, read where they are.
  func withDoubles<Result>(_ body: (UnsafePointer<Double>) -> Result) -> Result {
    withUnsafeBytes { bytes in
      guard scalar == .float64, let start = bytes.baseAddress else { preconditionFailure("no doubles in \(shape)") }
      return body(start.assumingMemoryBound(to: Double.self))
    }
  }

  /// The same, to be written by their only owner.
  func withMutableDoubles<Result>(_ body: (UnsafeMutablePointer<Double>) -> Result) -> Result {
    withUnsafeMutableBytes { bytes in
      guard scalar == .float64, let start = bytes.baseAddress else { preconditionFailure("no doubles in \(shape)") }
      return body(start.assumingMemoryBound(to: Double.self))
    }
  }
}
