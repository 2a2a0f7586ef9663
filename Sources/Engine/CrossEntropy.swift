import CKernels

extension Tensor {
  /// −scale · Σ log softmax(logits)[label] over the rows whose label is not −100, a scalar [1].
  ///
  /// The logits are never all in memory: labelled rows of the hidden states [T, D] go through `head` some at a time,
  /// and each part is differentiated at once. Gradients therefore reach the leaves that `head` uses during this call,
  /// scaled for a result that is itself the root of the backward pass.
  public func crossEntropy(
    labels: [Int32], scale: Double, vocabulary: Int, head: (Tensor) -> Tensor
  ) -> Tensor {
    precondition(labels.count == rows, "\(labels.count) labels for \(rows) rows")
    let chosen = labels.indices.filter { labels[$0] != -100 }.map { Int32($0) }
    let needsGradient = node != nil
    let dHidden = needsGradient ? Tensor.zeros(shape, scalar) : nil
    var loss = 0.0
    // A product with few rows would spend its time on bringing the head's weight into its own order; all rows at once would not
    // fit a machine's memory.
    let most = min(512, max(64, (256 << 20) / (vocabulary * scalar.byteCount)))
    let parts = max(1, (chosen.count + most - 1) / most)
    let height = max(1, (chosen.count + parts - 1) / parts)
    var start = 0
    while start < chosen.count {
      let part = Array(chosen[start..<min(chosen.count, start + height)])
      start += part.count
      var hidden = detached.gatherRows(part)
      if needsGradient { hidden = hidden.tracked() }
      var logits = head(hidden)
      let history = logits.node
      logits.node = nil
      let partLabels = part.map { labels[Int($0)] }
      loss += Phase.loss.spent { logits.crossEntropy(partLabels, scale, becomesGradient: history != nil) }
      guard let history else { continue }
      Tensor.backward(from: history, logits)
      guard let dHidden, let partGradient = hidden.gradient else { continue }
      switch scalar {
      case .float32: embed_grad_acc_f32(dHidden.f32, partGradient.f32, part, part.count, columns)
      case .float64: embed_grad_acc_f64(dHidden.f64, partGradient.f64, part, part.count, columns)
      }
    }
    return Tensor([loss * scale], shape: [1], scalar).recorded([self]) { [node] dy, gradients in
      guard let dHidden else { return }
      gradients.add(node, dy.item == 1 ? dHidden : dHidden.scaled(by: dy.item))
    }
  }

  /// Σ −log p of the labels. These logits become the gradient of scale times it, where that is wanted.
  private mutating func crossEntropy(_ labels: [Int32], _ scale: Double, becomesGradient: Bool) -> Double {
    if becomesGradient, !isUnique { self = copied() }
    let d = columns
    let parts = min(rows, 64)
    let share = (rows + parts - 1) / parts
    let losses = Tensor.zeros([parts], .float64)
    let logits = self
    Threads.each(parts) { part in
      let r = min(rows, part * share)..<min(rows, (part + 1) * share)
      guard !r.isEmpty else { return }
      let i = r.lowerBound * d
      labels.withUnsafeBufferPointer { labels in
        let label = labels.baseAddress! + r.lowerBound
        guard becomesGradient else {
          let rowLosses = Tensor(uninitialized: [r.count], .float64)
          switch logits.scalar {
          case .float32: cross_entropy_rows_f32(rowLosses.f64, logits.f32 + i, label, r.count, d)
          case .float64: cross_entropy_rows_f64(rowLosses.f64, logits.f64 + i, label, r.count, d)
          }
          losses.f64[part] = sum_f64(rowLosses.f64, r.count)
          return
        }
        var sum = 0.0
        var count: Int32 = 0
        switch logits.scalar {
        case .float32: cross_entropy_f32(logits.f32 + i, label, r.count, d, Float(scale), &sum, &count)
        case .float64: cross_entropy_f64(logits.f64 + i, label, r.count, d, scale, &sum, &count)
        }
        losses.f64[part] = sum
      }
    }
    return losses.values.reduce(0, +)
  }
}
