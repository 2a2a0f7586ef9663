import CKernels

/// The numbers of one AdamW step.
public struct AdamWStep: Sendable {
  public var learningRate: Double
  public var beta1: Double
  public var beta2: Double
  public var eps: Double
  public var weightDecay: Double
  /// 1-based count of steps this parameter has taken, this one included.
  public var count: Int

  public init(learningRate: Double, beta1: Double, beta2: Double, eps: Double, weightDecay: Double, count: Int) {
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.eps = eps
    self.weightDecay = weightDecay
    self.count = count
  }
}

extension Tensor {
  /// One step of Adam with decoupled weight decay, in place, in the order of operations of `torch.optim.AdamW`:
  /// θ ← (1 − lr·λ)θ; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; θ ← θ − lr·m̂ / (√v̂ + eps).
  ///
  /// Only for parameters nobody else reads during the call.
  public func adamW(gradient: Tensor, m: Tensor, v: Tensor, _ step: AdamWStep) {
    precondition([gradient, m, v].allSatisfy { $0.count == count && $0.scalar == scalar }, "AdamW on a tensor of \(shape)")
    let correction1 = 1 - Self.power(step.beta1, step.count)
    let correction2 = 1 - Self.power(step.beta2, step.count)
    Threads.split(count, cost: 4) { r in
      let i = r.lowerBound
      switch scalar {
      case .float32:
        adamw_f32(
          f32 + i, gradient.f32 + i, m.f32 + i, v.f32 + i, step.learningRate, step.beta1, step.beta2, step.eps,
          step.weightDecay, correction1, correction2, r.count)
      case .float64:
        adamw_f64(
          f64 + i, gradient.f64 + i, m.f64 + i, v.f64 + i, step.learningRate, step.beta1, step.beta2, step.eps,
          step.weightDecay, correction1, correction2, r.count)
      }
    }
  }

  /// self += scale · other, in place; for accumulators nobody else reads.
  public func accumulate(_ other: Tensor, scale: Double = 1) { Elementwise.accumulate(self, other, scale: scale) }

  /// self += scale · aᵀ·b for a [T, m], b [T, n] and self [m, n], in place: a weight gradient from (dy, x).
  public func accumulateProduct(transposed a: Tensor, _ b: Tensor, scale: Double = 1) {
    precondition(a.rows == b.rows && shape == [a.columns, b.columns] && scalar == a.scalar && scalar == b.scalar)
    BLAS.multiply(
      scalar, a.columns, b.columns, a.rows, alpha: scale, a.operand.transpose, b.operand, beta: 1, into: address(),
      stride: b.columns)
  }

  /// Writes the rows of `x` over those of this tensor from row `start` on, bit for bit; only for owners, as
  /// `withUnsafeMutableBytes`.
  public func overwrite(from start: Int, with x: Tensor) {
    precondition(x.columns == columns && x.scalar == scalar && start >= 0 && start + x.rows <= rows)
    address(start * columns).copyMemory(from: x.address(), byteCount: x.count * scalar.byteCount)
  }

  /// self ← scale · self, in place.
  public func scaleInPlace(by factor: Double) {
    switch scalar {
    case .float32: scale_f32(f32, Float(factor), f32, count)
    case .float64: scale_f64(f64, factor, f64, count)
    }
  }

  private static func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, factor, n) = (1.0, base, exponent)
    while n > 0 {
      if n & 1 == 1 { result *= factor }
      factor *= factor
      n >>= 1
    }
    return result
  }
}
