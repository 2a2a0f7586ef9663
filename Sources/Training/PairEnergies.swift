import Engine
import PEFTKernel

/// Row and column energies of G = Σ vᵀ·u, the gradient of every pair's product over a whole step, without more of G than is needed.
///
/// A step of one pass gives its energies as soon as a pair is seen, from the tokens' Gram matrices where that is cheaper, else from
/// blocks of G's rows. Squares do not add up over passes: with several, G itself is added up, or (u, v) kept where that is less.
///
/// Belongs to the one trainer whose passes it watches.
final class PairEnergies: PairObserver, @unchecked Sendable {
  private let passes: Int
  /// Tokens of the whole step.
  private let tokens: Int
  private var done: [Pair: Energies] = [:]
  private var sums: [Pair: Tensor] = [:]
  private var kept: [Pair: (u: [Tensor], v: [Tensor])] = [:]

  init(passes: Int, tokens: Int) {
    self.passes = passes
    self.tokens = tokens
  }

  func saw(_ pair: Pair, u: Tensor, v: Tensor) {
    let (outputs, inputs) = (v.columns, u.columns)
    if passes == 1 {
      done[pair] = Self.energies(u, v)
    } else if tokens * (outputs + inputs) < outputs * inputs {
      kept[pair, default: ([], [])].u.append(u.copied())
      kept[pair]?.v.append(v.copied())
    } else {
      let sum = sums[pair] ?? .zeros([outputs, inputs], u.scalar)
      sum.accumulateProduct(transposed: v, u)
      sums[pair] = sum
    }
  }

  /// The energies of factor · G. Ends the step.
  func energies(scaledBy factor: Double) -> [Pair: Energies] {
    for (pair, parts) in kept { done[pair] = Self.energies(.joinedRows(parts.u), .joinedRows(parts.v)) }
    for (pair, sum) in sums { done[pair] = sum.energies }
    guard factor != 1 else { return done }
    let square = factor * factor
    return done.mapValues { Energies(rows: $0.rows.map { $0 * square }, columns: $0.columns.map { $0 * square }) }
  }

  /// Of vᵀ·u for u [T, inputs], v [T, outputs].
  static func energies(_ u: Tensor, _ v: Tensor) -> Energies {
    let (outputs, inputs) = (v.columns, u.columns)
    if u.rows * (outputs + inputs) < outputs * inputs {
      // Σ_j G_ij² = v_iᵀ·(u·uᵀ)·v_i, and likewise for columns.
      func energies(of x: Tensor, through other: Tensor) -> [Double] {
        let gram = other.multiplied(byTransposeOf: other)
        return (gram.multiplied(by: x) * x).columnSums
      }
      return Energies(rows: energies(of: v, through: u), columns: energies(of: u, through: v))
    }
    var whole = Energies(rows: [], columns: [Double](repeating: 0, count: inputs))
    for start in stride(from: 0, to: outputs, by: 256) {
      let range = start..<min(outputs, start + 256)
      let block = Tensor.zeros([range.count, inputs], u.scalar)
      block.accumulateProduct(transposed: v.slice(columns: range), u)
      let part = block.energies
      whole.rows += part.rows
      for j in 0..<inputs { whole.columns[j] += part.columns[j] }
    }
    return whole
  }
}

extension Tensor {
  /// Σ over rows of every column, in double.
  fileprivate var columnSums: [Double] {
    var sums = [Double](repeating: 0, count: columns)
    forEachRow { row in for j in row.indices { sums[j] += row[j] } }
    return sums
  }

  /// Sums of squares by row and column.
  fileprivate var energies: Energies {
    var energies = Energies(rows: [], columns: [Double](repeating: 0, count: columns))
    forEachRow { row in
      var sum = 0.0
      for j in row.indices {
        let square = row[j] * row[j]
        sum += square
        energies.columns[j] += square
      }
      energies.rows.append(sum)
    }
    return energies
  }

  private func forEachRow(_ body: (UnsafeBufferPointer<Double>) -> Void) {
    for i in 0..<rows {
      let row = slice(rows: i..<i + 1).converted(to: .float64)
      row.withUnsafeBytes { body($0.bindMemory(to: Double.self)) }
    }
  }
}
