import CKernels

extension Tensor {
  /// ρ(X + diag(d)) − diag(d) for a square X [n, n] and a constant d [n], ρ the entrywise ReLU: max(x_ij, 0) off the diagonal,
  /// max(x_ii, −d_i) on it. Written so, a small x_ii is not lost in the rounding of d_i. Derivatives at the corners are 0.
  public func relu(shiftedBy diagonal: Tensor) -> Tensor {
    precondition(
      rank == 2 && rows == columns && diagonal.count == rows && scalar == diagonal.scalar,
      "a diagonal of \(diagonal.count) for \(shape)")
    let y = detached.relu
    let n = rows
    for i in 0..<n {
      switch scalar {
      case .float32: y.f32[i * n + i] = max(f32[i * n + i], -diagonal.f32[i])
      case .float64: y.f64[i * n + i] = max(f64[i * n + i], -diagonal.f64[i])
      }
    }
    let floor = diagonal.detached
    return y.recorded([self]) { [node, y] dy, gradients in gradients.add(node, y.reluSlope(shiftedBy: floor, times: dy)) }
  }

  /// dy where this result of `relu(shiftedBy:)` follows its argument, 0 where it is cut off. Without history.
  public func reluSlope(shiftedBy diagonal: Tensor, times dy: Tensor) -> Tensor {
    let dx = Tensor.zeros(shape, scalar)
    Threads.split(count, cost: 1) { r in
      let i = r.lowerBound
      switch scalar {
      case .float32: relu_backward_acc_f32(dx.f32 + i, f32 + i, dy.f32 + i, r.count)
      case .float64: relu_backward_acc_f64(dx.f64 + i, f64 + i, dy.f64 + i, r.count)
      }
    }
    let n = rows
    for i in 0..<n {
      let at = i * n + i
      switch scalar {
      case .float32: dx.f32[at] = f32[at] > -diagonal.f32[i] ? dy.f32[at] : 0
      case .float64: dx.f64[at] = f64[at] > -diagonal.f64[i] ? dy.f64[at] : 0
      }
    }
    return dx
  }
}
