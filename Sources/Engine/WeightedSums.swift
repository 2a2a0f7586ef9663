extension Tensor {
  /// Σ over each range's rows of weight · row: [ranges.count, D] of x [T, D]. `weights` has one number per row of x.
  public func weightedSums(over ranges: [Range<Int>], weights: [Double]) -> Tensor {
    precondition(
      weights.count == rows && ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= rows },
      "\(weights.count) weights for sums of \(rows) rows")
    let y = Tensor.zeros([ranges.count, columns], scalar)
    for (sum, range) in ranges.enumerated() {
      for t in range where weights[t] != 0 { Elementwise.accumulate(y.row(sum), row(t), scale: weights[t]) }
    }
    return y.recorded([self]) { [node] dy, gradients in
      gradients.into(node) { dx, accumulate in
        if !accumulate { dx.fill(0) }
        for (sum, range) in ranges.enumerated() {
          for t in range where weights[t] != 0 { Elementwise.accumulate(dx.row(t), dy.row(sum), scale: weights[t]) }
        }
      }
    }
  }

  private func row(_ index: Int) -> Tensor { view(index * columns, [columns]) }
}
