import CKernels

extension Tensor {
  /// Rows `indices` of a table [N, D]: [indices.count, D].
  public func gatherRows(_ indices: [Int32]) -> Tensor {
    let y = Tensor(uninitialized: [indices.count, columns], scalar)
    precondition(indices.allSatisfy { $0 >= 0 && $0 < rows }, "row index outside 0..<\(rows)")
    switch scalar {
    case .float32: embed_f32(y.f32, f32, indices, indices.count, columns)
    case .float64: embed_f64(y.f64, f64, indices, indices.count, columns)
    }
    return y.recorded([self]) { [node] dy, gradients in
      gradients.into(node) { dx, accumulate in
        if !accumulate { dx.fill(0) }
        switch dy.scalar {
        case .float32: embed_grad_acc_f32(dx.f32, dy.f32, indices, indices.count, dy.columns)
        case .float64: embed_grad_acc_f64(dx.f64, dy.f64, indices, indices.count, dy.columns)
        }
      }
    }
  }

  /// y[i] = self[indices[i]] · norms[indices[i]] for a vector [d]; shape says how the result is laid out.
  public func gather(_ indices: [Int32], norms: Tensor, shape: [Int]) -> Tensor {
    precondition(indices.count == shape.reduce(1, *) && norms.count == count && norms.scalar == scalar)
    precondition(indices.allSatisfy { $0 >= 0 && $0 < count }, "index outside 0..<\(count)")
    let y = Tensor(uninitialized: shape, scalar)
    Threads.split(indices.count, cost: 4) { r in
      let i = r.lowerBound
      indices.withUnsafeBufferPointer { idx in
        switch scalar {
        case .float32: gather_scaled_f32(y.f32 + i, f32, idx.baseAddress! + i, norms.f32, r.count)
        case .float64: gather_scaled_f64(y.f64 + i, f64, idx.baseAddress! + i, norms.f64, r.count)
        }
      }
    }
    return y.recorded([self]) { [node, d = count] dy, gradients in
      // Scattered first, scaled once at the end: norms depend on the target alone.
      let sum = Tensor.zeros([d], dy.scalar)
      let result = Tensor(uninitialized: [d], dy.scalar)
      switch dy.scalar {
      case .float32:
        scatter_add_f32(sum.f32, dy.f32, indices, indices.count)
        mul_f32(result.f32, sum.f32, norms.f32, d)
      case .float64:
        scatter_add_f64(sum.f64, dy.f64, indices, indices.count)
        mul_f64(result.f64, sum.f64, norms.f64, d)
      }
      gradients.add(node, result)
    }
  }
}

extension FrozenMatrix {
  /// Rows `indices` of a frozen table [N, D], widened: [indices.count, D].
  public func gatherRows(_ indices: [Int32], as scalar: ScalarType = .float32) -> Tensor {
    guard !hasColumnLines else { return dense(as: scalar).gatherRows(indices) }
    precondition(indices.allSatisfy { $0 >= 0 && $0 < rows }, "row index outside 0..<\(rows)")
    let y = Tensor(uninitialized: [indices.count, columns], scalar)
    for (t, index) in indices.enumerated() {
      widen(lines: Int(index)..<Int(index) + 1, into: y.view(t * columns, [1, columns]))
    }
    return y
  }
}
