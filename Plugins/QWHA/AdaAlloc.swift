#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// AdaAlloc: how many coefficients each output row may have [arXiv:2509.17428, Eq. 7 and Algorithm 1].
///
///     w_i = ε_i^t / Σ ε^t,   p_i = min(n', ⌊p·w_i⌋)
///
/// What rounding and the cap leave over goes to the rows that are not full: evenly as far as it goes, then one by one to those with
/// the fewest. With t = 0 all rows are alike.
struct AdaAlloc {
  /// t.
  var temperature: Double
  /// n', what a row can hold.
  var cap: Int

  /// Budgets p_i for rows with the errors ε_i, p together; p is at most `cap` a row.
  func budgets(_ total: Int, _ errors: [Double]) -> [Int] {
    let largest = errors.max() ?? 0
    // In units of the largest, so that no power overflows.
    let weights = errors.map { largest > 0 ? pow($0 / largest, temperature) : 1 }
    let sum = weights.reduce(0, +)
    var budgets = weights.map { min(cap, Int(Double(total) * ($0 / sum))) }
    var left = total - budgets.reduce(0, +)
    while left > 0 {
      let open = budgets.indices.filter { budgets[$0] < cap }
      guard !open.isEmpty else { break }
      let share = left / open.count
      if share > 0 {
        for i in open { budgets[i] = min(cap, budgets[i] + share) }
      } else {
        for i in open.sorted(by: { (budgets[$0], $0) < (budgets[$1], $1) }).prefix(left) { budgets[i] += 1 }
      }
      left = total - budgets.reduce(0, +)
    }
    return budgets
  }
}
