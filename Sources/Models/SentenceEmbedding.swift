import Engine

extension Encoding {
  /// The mean of every sequence's hidden states over the rows that are no padding, [sequences, hidden]; 0 for a sequence of nothing
  /// else. With ``Tensor/unitRows(smallest:)`` behind it, the sentence embedding of most models.
  public func mean(over rows: RowLayout) -> Tensor {
    var weights = [Double](repeating: 0, count: rows.count)
    for sequence in rows.sequences {
      let seen = sequence.filter { rows.visible?[$0] != 0 }
      for row in seen { weights[row] = 1 / Double(seen.count) }
    }
    return hidden.weightedSums(over: rows.sequences, weights: weights)
  }
}

extension Tensor {
  /// x / |x| for every row x [T, D]. Rows of about the length `smallest` and less become shorter than 1, down to 0.
  public func unitRows(smallest: Double = 1e-12) -> Tensor {
    // x / √(mean x² + eps) is that, up to the root of the width.
    let width = Double(columns)
    return rmsNorm(
      Tensor(repeating: 1 / width.squareRoot(), shape: [columns], scalar), eps: smallest * smallest / width)
  }
}
