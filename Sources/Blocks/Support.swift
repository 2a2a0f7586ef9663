import Engine
import PEFTKernel

/// Where a sparse matrix may be other than zero: columns, ascending, row by row.
public struct Support: Sendable, Hashable {
  public var rows: [[Int]]

  public init(_ rows: [[Int]]) { self.rows = rows }

  public var count: Int { rows.reduce(0) { $0 + $1.count } }

  /// [2, count]: row numbers, then column numbers, as an adapter's tensor.
  public var index: Tensor {
    let numbers = rows.enumerated().flatMap { row, columns in columns.map { _ in Float(row) } }
    return Tensor(numbers + rows.joined().map(Float.init), shape: [2, numbers.count])
  }

  /// The `count` places of the largest scores [m, n]; of equal ones, the first in row-major order. Scores are numbers.
  public static func largest(_ count: Int, of scores: Tensor) -> Support {
    let (values, width) = (scores.values, scores.columns)
    var rows = [[Int]](repeating: [], count: scores.rows)
    for place in largest(count, of: values[...]) { rows[place / width].append(place % width) }
    return Support(rows)
  }

  /// In every row the places of so many largest scores.
  public static func largest(_ counts: [Int], of scores: Tensor) -> Support {
    let (values, width) = (scores.values, scores.columns)
    return Support(counts.enumerated().map { row, count in largest(count, of: values[row * width..<(row + 1) * width]) })
  }

  /// The places with ranks `ranks` by falling score, from 0.
  public static func ranked(_ ranks: Range<Int>, of scores: Tensor) -> Support {
    var values = scores.values
    for place in largest(ranks.lowerBound, of: values[...]) { values[place] = -.infinity }
    return largest(ranks.count, of: Tensor(values, shape: scores.shape, .float64))
  }

  /// Positions within `scores`, ascending.
  private static func largest(_ count: Int, of scores: ArraySlice<Double>) -> [Int] {
    guard count > 0 else { return [] }
    guard count < scores.count else { return Array(0..<scores.count) }
    let least = scores.sorted(by: >)[count - 1]
    // Of those equal to the last one chosen, as many as are left.
    var ties = count - scores.count { $0 > least }
    var chosen: [Int] = []
    chosen.reserveCapacity(count)
    for (place, score) in scores.enumerated() {
      if score > least {
        chosen.append(place)
      } else if score == least, ties > 0 {
        chosen.append(place)
        ties -= 1
      }
    }
    return chosen
  }
}

extension Support {
  /// The values f [count] on this support that bring F·P nearest to M, in the metric of G: the smallest tr((M − F·P)·G·(M − F·P)ᵀ).
  ///
  /// `right` is M·G·Pᵀ and `gram` P·G·Pᵀ, nil where that is the identity. Rows do not depend on each other; with J the columns of
  /// row i, (P·G·Pᵀ)[J, J]·f = (M·G·Pᵀ)[i, J].
  public func values(right: Tensor, gram: Tensor?) throws(Refusal) -> Tensor {
    let (b, width) = (right.values, right.columns)
    func side(_ i: Int) -> [Double] { rows[i].map { b[i * width + $0] } }
    guard let gram else { return Tensor(rows.indices.flatMap(side), .float64) }
    let g = gram.values
    do {
      let solutions = try LinearAlgebra.solveEach(rows.count) { i in
        let columns = rows[i]
        return (columns.flatMap { j in columns.map { g[j * width + $0] } }, side(i))
      }
      return Tensor(solutions.flatMap(\.self), .float64)
    } catch {
      throw Refusal("the values nearest to the target do not exist: \(error)", remedy: "check the data")
    }
  }
}
