import Engine
import PEFTKernel

/// Integers of 2, 3, 4 or 8 bits: each weight to the nearest grid point, or with the feedback of GPTQ [arXiv:2210.17323]; before
/// it, where asked for, MagR [arXiv:2406.00800], and after it coordinate descent on the codes.
///
/// Everything is done in double; scales are rounded to the floats that are stored before anything uses them.
public struct IntegerQuantizer: Quantizer {
  public enum Rounding: Sendable, Hashable {
    /// Every weight by itself.
    case nearest
    case feedback(GPTQ)
  }

  public var grid: IntegerGrid
  public var rounding: Rounding
  public var reduction: MagR?
  /// Passes of coordinate descent.
  public var descents: Int

  public init(_ grid: IntegerGrid, rounding: Rounding = .nearest, reduction: MagR? = nil, descents: Int = 0) throws(Refusal) {
    guard descents >= 0 else { throw Refusal("coordinate_descent is \(descents), but must be at least 0") }
    self.grid = grid
    self.rounding = rounding
    self.reduction = reduction
    self.descents = descents
  }

  public var wantsGram: Bool { rounding != .nearest || reduction != nil || descents > 0 }

  public func quantized(_ weight: Tensor, gram: Tensor?) throws(Refusal) -> QuantizedWeight {
    let (original, gram) = try checked(weight, gram)
    let groupSize = try grid.groupSize(for: original.columns)
    var columns = original.transposed
    if let reduction, let gram { columns = try reduction.reduced(original, gram: gram, groupSize: groupSize).transposed }
    var codes: ColumnCodes
    var notes: [String] = []
    switch rounding {
    case .nearest: codes = nearest(columns, groupSize)
    case .feedback(let gptq):
      guard let gram else { throw Refusal("gptq needs the Gram of the weight's inputs") }
      (codes, notes) = try gptq.codes(columns, gram: gram, grid, groupSize: groupSize)
    }
    if descents > 0, let gram {
      let descent = CoordinateDescent(gram: gram)
      for _ in 0..<descents { descent.pass(over: &codes, of: original.transposed, grid) }
    }
    return QuantizedWeight(.grid(codes.packed(bits: grid.bits)), notes: notes)
  }

  private func nearest(_ columns: Tensor, _ groupSize: Int) -> ColumnCodes {
    var grids = GroupGrids(outputs: columns.columns, inputs: columns.rows, groupSize: groupSize)
    grids.fit(to: columns, grid)
    var codes = ColumnCodes(grids: grids, inputs: columns.rows)
    columns.withDoubles { values in
      for j in 0..<columns.rows { codes.round(j, values + j * columns.columns, grid) { _, _, _ in } }
    }
    return codes
  }
}
