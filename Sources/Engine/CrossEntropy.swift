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
    // About eight megabytes of logits at a time stay in the cache the products work from.
    let height = max(16, (8 << 20) / (vocabulary * scalar.byteCount))
    var start = 0
    while start < chosen.count {
      let part = Array(chosen[start..<min(chosen.count, start + height)])
      start += part.count
      var hidden = detached.gatherRows(part)
      if needsGradient { hidden = hidden.tracked() }
      let logits = head(hidden)
      let partLabels = part.map { labels[Int($0)] }
      let (partLoss, gradient) = Phase.loss.spent {
        logits.detached.crossEntropyGradient(partLabels, scale, wanted: logits.hasHistory)
      }
      loss += partLoss
      guard let gradient else { continue }
      Tensor.backward([(logits, gradient)])
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

  /// Σ −log p of the labels, and the gradient of scale times it.
  private func crossEntropyGradient(_ labels: [Int32], _ scale: Double, wanted: Bool) -> (Double, Tensor?) {
    let d = columns
    let parts = min(rows, 64)
    let share = (rows + parts - 1) / parts
    let losses = Tensor.zeros([parts], .float64)
    let gradient = wanted ? (Tensor(uninitialized: shape, scalar), true) : nil
    Threads.each(parts) { part in
      let r = min(rows, part * share)..<min(rows, (part + 1) * share)
      guard !r.isEmpty else { return }
      labels.withUnsafeBufferPointer { labels in
        let label = labels.baseAddress! + r.lowerBound
        if let (target, _) = gradient {
          let i = r.lowerBound * d
          target.address(i).copyMemory(from: address(i), byteCount: r.count * d * scalar.byteCount)
          var sum = 0.0
          var count: Int32 = 0
          switch scalar {
          case .float32: cross_entropy_f32(target.f32 + i, label, r.count, d, Float(scale), &sum, &count)
          case .float64: cross_entropy_f64(target.f64 + i, label, r.count, d, scale, &sum, &count)
          }
          losses.f64[part] = sum
        } else {
          let rowLosses = Tensor(uninitialized: [r.count], .float64)
          let i = r.lowerBound * d
          switch scalar {
          case .float32: cross_entropy_rows_f32(rowLosses.f64, f32 + i, label, r.count, d)
          case .float64: cross_entropy_rows_f64(rowLosses.f64, f64 + i, label, r.count, d)
          }
          losses.f64[part] = sum_f64(rowLosses.f64, r.count)
        }
      }
    }
    return (losses.values.reduce(0, +), gradient?.0)
  }
}
