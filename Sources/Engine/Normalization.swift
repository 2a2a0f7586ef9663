import CKernels

extension Tensor {
  /// x / √(mean x² + eps) · weight over the last axis; weight [D].
  public func rmsNorm(_ weight: Tensor, eps: Double) -> Tensor {
    precondition(columns == weight.count && scalar == weight.scalar, "rmsNorm: \(weight.count) gains for \(columns) columns")
    let (y, inverse) = (Tensor(uninitialized: shape, scalar), Tensor(uninitialized: [rows], scalar))
    let d = columns
    Threads.split(rows, cost: 2 * d) { r in
      let (t, i) = (r.lowerBound, r.lowerBound * d)
      switch scalar {
      case .float32: rmsnorm_f32(y.f32 + i, inverse.f32 + t, f32 + i, weight.f32, Float(eps), r.count, d)
      case .float64: rmsnorm_f64(y.f64 + i, inverse.f64 + t, f64 + i, weight.f64, eps, r.count, d)
      }
    }
    let (x, w) = (detached, weight.detached)
    return y.recorded([self, weight]) { [node, wNode = weight.node] dy, gradients in
      gradients.into(node) { dx, accumulate in
        Threads.split(dy.rows, cost: 3 * d) { r in
          let (t, i) = (r.lowerBound, r.lowerBound * d)
          switch dy.scalar {
          case .float32:
            rmsnorm_backward_f32(
              dx.f32 + i, accumulate ? 1 : 0, x.f32 + i, w.f32, inverse.f32 + t, dy.f32 + i, r.count, d)
          case .float64:
            rmsnorm_backward_f64(
              dx.f64 + i, accumulate ? 1 : 0, x.f64 + i, w.f64, inverse.f64 + t, dy.f64 + i, r.count, d)
          }
        }
      }
      gradients.into(wNode) { dw, accumulate in
        if !accumulate { dw.fill(0) }
        switch dy.scalar {
        case .float32: rmsnorm_weight_grad_acc_f32(dw.f32, x.f32, inverse.f32, dy.f32, dy.rows, d)
        case .float64: rmsnorm_weight_grad_acc_f64(dw.f64, x.f64, inverse.f64, dy.f64, dy.rows, d)
        }
      }
    }
  }

  /// (x − mean) / √(variance + eps) · weight + bias over the last axis.
  public func layerNorm(_ weight: Tensor, _ bias: Tensor, eps: Double) -> Tensor {
    precondition(
      columns == weight.count && columns == bias.count && scalar == weight.scalar && scalar == bias.scalar,
      "layerNorm: \(weight.count) gains for \(columns) columns")
    let y = Tensor(uninitialized: shape, scalar)
    let (mean, inverse) = (Tensor(uninitialized: [rows], scalar), Tensor(uninitialized: [rows], scalar))
    let d = columns
    Threads.split(rows, cost: 2 * d) { r in
      let (t, i) = (r.lowerBound, r.lowerBound * d)
      switch scalar {
      case .float32:
        layernorm_f32(
          y.f32 + i, mean.f32 + t, inverse.f32 + t, f32 + i, weight.f32, bias.f32, Float(eps), r.count, d)
      case .float64:
        layernorm_f64(y.f64 + i, mean.f64 + t, inverse.f64 + t, f64 + i, weight.f64, bias.f64, eps, r.count, d)
      }
    }
    let (x, w) = (detached, weight.detached)
    return y.recorded([self, weight, bias]) { [node, wNode = weight.node, bNode = bias.node] dy, gradients in
      gradients.into(node) { dx, accumulate in
        Threads.split(dy.rows, cost: 3 * d) { r in
          let (t, i) = (r.lowerBound, r.lowerBound * d)
          switch dy.scalar {
          case .float32:
            layernorm_backward_f32(
              dx.f32 + i, accumulate ? 1 : 0, x.f32 + i, w.f32, mean.f32 + t, inverse.f32 + t, dy.f32 + i, r.count, d)
          case .float64:
            layernorm_backward_f64(
              dx.f64 + i, accumulate ? 1 : 0, x.f64 + i, w.f64, mean.f64 + t, inverse.f64 + t, dy.f64 + i, r.count, d)
          }
        }
      }
      guard wNode != nil || bNode != nil else { return }
      let (dw, db) = (Tensor.zeros([d], dy.scalar), Tensor.zeros([d], dy.scalar))
      switch dy.scalar {
      case .float32: layernorm_weight_grad_acc_f32(dw.f32, db.f32, x.f32, mean.f32, inverse.f32, dy.f32, dy.rows, d)
      case .float64: layernorm_weight_grad_acc_f64(dw.f64, db.f64, x.f64, mean.f64, inverse.f64, dy.f64, dy.rows, d)
      }
      gradients.add(wNode, dw)
      gradients.add(bNode, db)
    }
  }

  /// Softmax over the last axis of the entries for which `allowed` is true (all, where nil); the others become 0.
  ///
  /// A row without an allowed entry becomes 0. `allowed` has one flag per entry.
  public func softmax(allowed: [Bool]? = nil) -> Tensor {
    precondition(allowed.map { $0.count == count } ?? true, "softmax: \(allowed?.count ?? 0) flags for \(count) entries")
    let y = copied()
    let d = columns
    let bytes = allowed.map { $0.map { UInt8($0 ? 1 : 0) } }
    for t in 0..<rows {
      func row(_ mask: UnsafePointer<UInt8>?) {
        switch scalar {
        case .float32: softmax_masked_f32(y.f32 + t * d, 1, d, nil, nil, 1, mask)
        case .float64: softmax_masked_f64(y.f64 + t * d, 1, d, nil, nil, 1, mask)
        }
      }
      if let bytes { bytes.withUnsafeBufferPointer { row($0.baseAddress! + t * d) } } else { row(nil) }
    }
    let p = y
    return y.recorded([self]) { [node] dy, gradients in
      let ds = dy.copied()
      switch ds.scalar {
      case .float32: softmax_masked_backward_f32(ds.f32, p.f32, p.rows, d, nil, nil, 1)
      case .float64: softmax_masked_backward_f64(ds.f64, p.f64, p.rows, d, nil, nil, 1)
      }
      gradients.add(node, ds)
    }
  }
}
