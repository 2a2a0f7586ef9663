import Engine

/// What a head should have said of the sequences of a batch.
public enum ClassTargets: Sendable {
  /// One label's id for each sequence; −100 for a sequence that does not count.
  case labels([Int32])
  /// For each sequence and label in turn, whether it applies.
  case flags([Bool])
  /// For each sequence and label in turn, a number.
  case numbers([Double])

  /// How many terms the loss has.
  public var count: Int {
    switch self {
    case .labels(let labels): labels.count { $0 != -100 }
    case .flags(let flags): flags.count
    case .numbers(let numbers): numbers.count
    }
  }
}

extension Tensor {
  /// scale · Σ of these logits' [sequences, labels] losses, a scalar [1], to be differentiated as it is: −log softmax of the label;
  /// for flags −log sigmoid of each logit, or of its negative; for numbers the square of the difference. With scale 1 / `count` it is
  /// the mean that the reference implementation takes.
  public func classificationLoss(_ targets: ClassTargets, scale: Double) -> Tensor {
    switch targets {
    case .labels(let labels):
      precondition(labels.count == rows, "\(labels.count) labels for \(rows) sequences")
      return crossEntropy(labels: labels, scale: scale, vocabulary: columns) { $0 }
    case .flags(let flags):
      precondition(flags.count == count, "\(flags.count) flags for logits \(shape)")
      // A sigmoid is a softmax beside 0.
      let logits = reshaped([count, 1])
      return Tensor.joinedColumns([logits, .zeros([count, 1], scalar)]).crossEntropy(
        labels: flags.map { $0 ? 0 : 1 }, scale: scale, vocabulary: 2
      ) { $0 }
    case .numbers(let numbers):
      precondition(numbers.count == count, "\(numbers.count) numbers for logits \(shape)")
      let difference = self - Tensor(numbers, shape: shape, scalar)
      return (difference * difference).sum * scale
    }
  }
}
