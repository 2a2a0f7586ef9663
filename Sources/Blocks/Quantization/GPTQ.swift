import Engine
import PEFTKernel

/// Rounding column by column, with each column's error taken over by those still to come.
///
/// GPTQ, "Accurate Post-Training Quantization for Generative Pre-trained Transformers" [arXiv:2210.17323, §3]. With
/// H = C + damping·mean(diag C)·I and H⁻¹ = UᵀU, U upper triangular, for j = 0 … in − 1:
///
///     e = (W[:, j] − ŵ_j) / U_jj,   W[:, j:] ← W[:, j:] − e·U[j, j:]
///
/// in³ + out·in² multiply-adds; memory in² + 2·out·in.
public struct GPTQ: Sendable, Hashable {
  /// percdamp: raised tenfold, up to 1, where the factorisation fails.
  public var damping: Double
  /// Whether grids come from the weight as it was. Else a group's grid is that of its values when its first column is reached.
  public var hasStaticGroups: Bool
  /// Whether columns go by descending C_jj. Groups then are static, and of the columns as they stand in the weight.
  public var ordersByActivity: Bool

  public init(damping: Double = 0.01, hasStaticGroups: Bool = false, ordersByActivity: Bool = false) throws(Refusal) {
    guard damping > 0, damping.isFinite else { throw Refusal("percdamp is \(damping), but must be above 0", remedy: "use 0.01") }
    self.damping = damping
    self.hasStaticGroups = hasStaticGroups || ordersByActivity
    self.ordersByActivity = ordersByActivity
  }

  /// Columns between two products with all that follow them: within a block errors go from column to column.
  static let blockWidth = 128

  /// Codes of a weight given by its columns [inputs, outputs].
  func codes(
    _ given: Tensor, gram: Tensor, _ grid: IntegerGrid, groupSize: Int
  ) throws(Refusal) -> (ColumnCodes, notes: [String]) {
    let (inputs, outputs) = (given.rows, given.columns)
    let gram = gram.copied()
    var columns = given.copied()
    // Inputs that never are anything but zero: no output depends on their weights.
    for j in 0..<inputs where gram.withDoubles({ $0[j * inputs + j] }) == 0 {
      gram.withMutableDoubles { $0[j * inputs + j] = 1 }
      columns.withMutableDoubles { for o in 0..<outputs { $0[j * outputs + o] = 0 } }
    }
    let order = order(gram)
    var grids = GroupGrids(outputs: outputs, inputs: inputs, groupSize: groupSize)
    if hasStaticGroups { grids.fit(to: columns, grid) }
    if ordersByActivity { columns = columns.gatherRows(order.map { Int32($0) }) }
    let (u, notes) = try factor(permuted(gram, order))

    var codes = ColumnCodes(grids: grids, inputs: inputs)
    let errors = Tensor.zeros([min(Self.blockWidth, inputs), outputs], .float64)
    var start = 0
    while start < inputs {
      var end = min(start + Self.blockWidth, inputs)
      if !hasStaticGroups {
        // A group's grid needs all of its columns as the errors before them left them.
        end = min(end, (start / groupSize + 1) * groupSize)
        if start % groupSize == 0 {
          codes.grids.fit(start / groupSize, to: columns.slice(rows: start..<start + groupSize), grid)
        }
      }
      for j in start..<end {
        let column = columns.slice(rows: j..<j + 1)
        if j > start {
          let factors = u.slice(rows: start..<j).slice(columns: j..<j + 1)
          column.accumulateProduct(transposed: factors, errors.slice(rows: 0..<j - start), scale: -1)
        }
        let pivot = u.withDoubles { $0[j * inputs + j] }
        errors.slice(rows: j - start..<j - start + 1).withMutableDoubles { errors in
          column.withDoubles { values in
            codes.round(order[j], values, grid) { errors[$0] = ($1 - $2) / pivot }
          }
        }
      }
      if end < inputs {
        columns.slice(rows: end..<inputs).accumulateProduct(
          transposed: u.slice(rows: start..<end).slice(columns: end..<inputs), errors.slice(rows: 0..<end - start), scale: -1)
      }
      start = end
    }
    return (codes, notes)
  }

  /// Which column comes when.
  private func order(_ gram: Tensor) -> [Int] {
    guard ordersByActivity else { return Array(0..<gram.rows) }
    let activity = gram.withDoubles { values in (0..<gram.rows).map { values[$0 * gram.rows + $0] } }
    return activity.indices.sorted { (activity[$1], $0) < (activity[$0], $1) }
  }

  private func permuted(_ gram: Tensor, _ order: [Int]) -> Tensor {
    guard ordersByActivity else { return gram }
    let indices = order.map { Int32($0) }
    return gram.gatherRows(indices).transposed.gatherRows(indices)
  }

  /// U of the damped Gram.
  private func factor(_ gram: Tensor) throws(Refusal) -> (Tensor, notes: [String]) {
    let n = gram.rows
    let mean = gram.withDoubles { values in (0..<n).reduce(0) { $0 + values[$1 * n + $1] } } / Double(n)
    var damping = damping
    while true {
      let damped = gram.copied()
      damped.withMutableDoubles { for j in 0..<n { $0[j * n + j] += damping * mean } }
      do throws(LinearAlgebraError) {
        let u = try LinearAlgebra.inverseFactor(damped)
        let isRaised = damping > self.damping
        return (u, isRaised ? ["percdamp was raised from \(self.damping) to \(damping): the Gram could not be factored"] : [])
      } catch {
        guard damping < 1 else {
          throw Refusal("the Gram of the inputs is not positive definite, even with percdamp \(damping)", remedy: "use rtn")
        }
        damping = min(1, 10 * damping)
      }
    }
  }
}
