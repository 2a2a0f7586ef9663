import CKernels

/// In-place helpers for gradients and optimizers.
enum Elementwise {
  /// sum += value.
  static func accumulate(_ sum: Tensor, _ value: Tensor, scale: Double = 1) {
    precondition(sum.count == value.count && sum.scalar == value.scalar)
    Threads.split(sum.count, cost: 1) { r in
      switch sum.scalar {
      case .float32: axpy_f32(sum.f32 + r.lowerBound, Float(scale), value.f32 + r.lowerBound, r.count)
      case .float64: axpy_f64(sum.f64 + r.lowerBound, scale, value.f64 + r.lowerBound, r.count)
      }
    }
  }
}

extension Tensor {
  fileprivate typealias Map32 = (UnsafeMutablePointer<Float>?, UnsafePointer<Float>?, Int) -> Void
  fileprivate typealias Map64 = (UnsafeMutablePointer<Double>?, UnsafePointer<Double>?, Int) -> Void
  fileprivate typealias Zip32 = (UnsafeMutablePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?, Int) -> Void
  fileprivate typealias Zip64 = (UnsafeMutablePointer<Double>?, UnsafePointer<Double>?, UnsafePointer<Double>?, Int) -> Void

  fileprivate func map(cost: Int = 1, _ f: Map32, _ d: Map64) -> Tensor {
    let y = Tensor(uninitialized: shape, scalar)
    Threads.split(count, cost: cost) { r in
      switch scalar {
      case .float32: f(y.f32 + r.lowerBound, f32 + r.lowerBound, r.count)
      case .float64: d(y.f64 + r.lowerBound, f64 + r.lowerBound, r.count)
      }
    }
    return y
  }

  fileprivate func zip(_ other: Tensor, into y: Tensor, cost: Int = 1, _ f: Zip32, _ d: Zip64) {
    precondition(count == other.count && scalar == other.scalar, "shapes \(shape) and \(other.shape) do not match")
    Threads.split(count, cost: cost) { r in
      let i = r.lowerBound
      switch scalar {
      case .float32: f(y.f32 + i, f32 + i, other.f32 + i, r.count)
      case .float64: d(y.f64 + i, f64 + i, other.f64 + i, r.count)
      }
    }
  }

  fileprivate func zip(_ other: Tensor, _ f: Zip32, _ d: Zip64) -> Tensor {
    let y = Tensor(uninitialized: shape, scalar)
    zip(other, into: y, f, d)
    return y
  }

  /// Adds to `node`'s gradient with a kernel of the form dx += f(kept, dy).
  fileprivate static func accumulate(
    _ gradients: Gradients, _ node: Node?, _ kept: Tensor, _ dy: Tensor, cost: Int, _ f: Zip32, _ d: Zip64
  ) {
    gradients.into(node) { dx, accumulate in
      if !accumulate { dx.fill(0) }
      kept.zip(dy, into: dx, cost: cost, f, d)
    }
  }
}

// Arithmetic. Shapes must agree; broadcasting has names of its own.
extension Tensor {
  public static func + (a: Tensor, b: Tensor) -> Tensor {
    a.zip(b, add_f32, add_f64).recorded([a, b]) { [x = a.node, y = b.node] dy, gradients in
      gradients.add(x, dy)
      gradients.add(y, dy)
    }
  }

  public static func - (a: Tensor, b: Tensor) -> Tensor {
    a.zip(b, sub_f32, sub_f64).recorded([a, b]) { [x = a.node, y = b.node] dy, gradients in
      gradients.add(x, dy)
      gradients.add(y, dy.scaled(by: -1))
    }
  }

  /// Entrywise product.
  public static func * (a: Tensor, b: Tensor) -> Tensor {
    let (x, y) = (a.node, b.node)
    let (keptA, keptB) = (y == nil ? nil : a.detached, x == nil ? nil : b.detached)
    return a.zip(b, mul_f32, mul_f64).recorded([a, b]) { dy, gradients in
      if let keptB { accumulate(gradients, x, keptB, dy, cost: 1, mul_acc_f32, mul_acc_f64) }
      if let keptA { accumulate(gradients, y, keptA, dy, cost: 1, mul_acc_f32, mul_acc_f64) }
    }
  }

  /// Entrywise quotient.
  public static func / (a: Tensor, b: Tensor) -> Tensor {
    let (x, y, kept) = (a.node, b.node, b.detached)
    let quotient = a.zip(b, div_f32, div_f64)
    return quotient.recorded([a, b]) { dy, gradients in
      let slope = dy.zip(kept, div_f32, div_f64)
      gradients.add(x, slope)
      gradients.add(y, slope.zip(quotient, mul_f32, mul_f64).scaled(by: -1))
    }
  }

  public static func * (a: Tensor, factor: Double) -> Tensor {
    a.scaled(by: factor).recorded([a]) { [x = a.node] dy, gradients in gradients.add(x, dy.scaled(by: factor)) }
  }

  public static func * (factor: Double, a: Tensor) -> Tensor { a * factor }

  /// The same numbers times a constant, without history.
  func scaled(by factor: Double) -> Tensor {
    map({ scale_f32($0, Float(factor), $1, $2) }, { scale_f64($0, factor, $1, $2) })
  }

  /// x + row for every row of x [T, D], row [D].
  public func addingRow(_ row: Tensor) -> Tensor {
    precondition(columns == row.count && scalar == row.scalar, "a row of \(row.count) for \(columns) columns")
    let y = Tensor(uninitialized: shape, scalar)
    Threads.split(rows, cost: columns) { r in
      let i = r.lowerBound * columns
      switch scalar {
      case .float32: add_row_f32(y.f32 + i, f32 + i, row.f32, r.count, columns)
      case .float64: add_row_f64(y.f64 + i, f64 + i, row.f64, r.count, columns)
      }
    }
    return y.recorded([self, row]) { [x = node, b = row.node] dy, gradients in
      gradients.add(x, dy)
      gradients.add(b, dy.columnSums)
    }
  }

  /// x · row, entrywise, for every row of x [T, D], row [D].
  public func multipliedByRow(_ row: Tensor) -> Tensor {
    precondition(columns == row.count && scalar == row.scalar, "a row of \(row.count) for \(columns) columns")
    func product(_ x: Tensor) -> Tensor {
      let y = Tensor(uninitialized: x.shape, x.scalar)
      switch x.scalar {
      case .float32: mul_row_f32(y.f32, x.f32, row.f32, x.rows, x.columns)
      case .float64: mul_row_f64(y.f64, x.f64, row.f64, x.rows, x.columns)
      }
      return y
    }
    let kept = row.hasHistory ? detached : nil
    return product(self).recorded([self, row]) { [x = node, b = row.node] dy, gradients in
      gradients.add(x, product(dy))
      if let kept { gradients.add(b, kept.zip(dy, mul_f32, mul_f64).columnSums) }
    }
  }

  /// x[t, :] · column[t] for x [T, D], column [T].
  public func multipliedByColumn(_ column: Tensor) -> Tensor {
    precondition(rows == column.count && scalar == column.scalar, "a column of \(column.count) for \(rows) rows")
    func product(_ x: Tensor) -> Tensor {
      let y = Tensor(uninitialized: x.shape, x.scalar)
      switch x.scalar {
      case .float32: mul_col_f32(y.f32, x.f32, column.f32, x.rows, x.columns)
      case .float64: mul_col_f64(y.f64, x.f64, column.f64, x.rows, x.columns)
      }
      return y
    }
    let kept = column.hasHistory ? detached : nil
    return product(self).recorded([self, column]) { [x = node, c = column.node] dy, gradients in
      gradients.add(x, product(dy))
      if let kept { gradients.add(c, kept.rowDots(dy)) }
    }
  }

  /// Σ over rows [D], without history.
  var columnSums: Tensor {
    let sums = Tensor.zeros([columns], scalar)
    switch scalar {
    case .float32: col_sum_acc_f32(sums.f32, f32, rows, columns)
    case .float64: col_sum_acc_f64(sums.f64, f64, rows, columns)
    }
    return sums
  }

  /// Σ over columns of the entrywise product [T], without history.
  func rowDots(_ other: Tensor) -> Tensor {
    let dots = Tensor(uninitialized: [rows], scalar)
    switch scalar {
    case .float32: row_dot_f32(dots.f32, f32, other.f32, rows, columns)
    case .float64: row_dot_f64(dots.f64, f64, other.f64, rows, columns)
    }
    return dots
  }

  /// Σ of all entries, a scalar [1].
  public var sum: Tensor {
    let total = scalar == .float32 ? sum_f32(f32, count) : sum_f64(f64, count)
    return Tensor([total], shape: [1], scalar).recorded([self]) { [node, shape, scalar] dy, gradients in
      gradients.add(node, Tensor(repeating: dy.item, shape: shape, scalar))
    }
  }

  /// Σ of squares, accumulated in double.
  public var sumOfSquares: Double { scalar == .float32 ? sum_squares_f32(f32, count) : sum_squares_f64(f64, count) }

  /// Σ of squares of every row [rows], each accumulated in double.
  public var rowEnergies: Tensor {
    let sums = Tensor(uninitialized: [rows], scalar)
    Threads.split(rows, cost: columns) { r in
      for t in r {
        switch scalar {
        case .float32: sums.f32[t] = Float(sum_squares_f32(f32 + t * columns, columns))
        case .float64: sums.f64[t] = sum_squares_f64(f64 + t * columns, columns)
        }
      }
    }
    return sums
  }

  /// The largest magnitude.
  public var largestMagnitude: Double { scalar == .float32 ? Double(max_abs_f32(f32, count)) : max_abs_f64(f64, count) }

  /// Whether no entry is NaN or infinite.
  public var isFinite: Bool { (scalar == .float32 ? all_finite_f32(f32, count) : all_finite_f64(f64, count)) != 0 }
}

// Non-linear functions.
extension Tensor {
  private func activated(_ f: Map32, _ d: Map64, keepsOutput: Bool, _ bf: @escaping Zip32, _ bd: @escaping Zip64) -> Tensor {
    let y = map(cost: 8, f, d)
    let kept = keepsOutput ? y : detached
    return y.recorded([self]) { [node] dy, gradients in
      Tensor.accumulate(gradients, node, kept, dy, cost: 8, bf, bd)
    }
  }

  public var tanh: Tensor {
    activated(tanh_f32, tanh_f64, keepsOutput: true, tanh_backward_acc_f32, tanh_backward_acc_f64)
  }

  public var sigmoid: Tensor {
    activated(sigmoid_f32, sigmoid_f64, keepsOutput: true, sigmoid_backward_acc_f32, sigmoid_backward_acc_f64)
  }

  public var exp: Tensor {
    activated(exp_f32, exp_f64, keepsOutput: true, exp_backward_acc_f32, exp_backward_acc_f64)
  }

  public var relu: Tensor {
    activated(relu_f32, relu_f64, keepsOutput: true, relu_backward_acc_f32, relu_backward_acc_f64)
  }

  /// √x; 0 where x is negative, and without slope where it is 0.
  public var squareRoot: Tensor {
    activated(
      square_root_f32, square_root_f64, keepsOutput: true, square_root_backward_acc_f32, square_root_backward_acc_f64)
  }

  public var silu: Tensor {
    activated(silu_f32, silu_f64, keepsOutput: false, silu_backward_acc_f32, silu_backward_acc_f64)
  }

  /// x·Φ(x).
  public var gelu: Tensor {
    activated(gelu_erf_f32, gelu_erf_f64, keepsOutput: false, gelu_erf_backward_acc_f32, gelu_erf_backward_acc_f64)
  }

  /// GELU by the tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
  public var geluTanh: Tensor {
    activated(gelu_tanh_f32, gelu_tanh_f64, keepsOutput: false, gelu_tanh_backward_acc_f32, gelu_tanh_backward_acc_f64)
  }

  /// cap · tanh(x / cap): nearly x where that is small, never beyond ±cap.
  public func softCapped(_ cap: Double) -> Tensor {
    let y = map(cost: 8, { softcap_f32($0, $1, 1, Float(cap), $2) }, { softcap_f64($0, $1, 1, cap, $2) })
    let kept = y
    return y.recorded([self]) { [node] dy, gradients in
      let dx = Tensor(uninitialized: dy.shape, dy.scalar)
      kept.zip(
        dy, into: dx, cost: 4, { softcap_backward_f32($0, $1, $2, 1, Float(cap), $3) },
        { softcap_backward_f64($0, $1, $2, 1, cap, $3) })
      gradients.add(node, dx)
    }
  }

  /// silu(gate) · up, entrywise.
  public static func swiglu(gate: Tensor, up: Tensor) -> Tensor {
    gated(gate, up, swiglu_f32, swiglu_f64, swiglu_backward_f32, swiglu_backward_f64)
  }

  /// gelu(gate) · up, entrywise, GELU by the tanh approximation.
  public static func geglu(gate: Tensor, up: Tensor) -> Tensor {
    gated(gate, up, geglu_tanh_f32, geglu_tanh_f64, geglu_tanh_backward_f32, geglu_tanh_backward_f64)
  }

  private typealias Gate32 = (
    UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?,
    UnsafePointer<Float>?, Int
  ) -> Void
  private typealias Gate64 = (
    UnsafeMutablePointer<Double>?, UnsafeMutablePointer<Double>?, UnsafePointer<Double>?, UnsafePointer<Double>?,
    UnsafePointer<Double>?, Int
  ) -> Void

  private static func gated(
    _ gate: Tensor, _ up: Tensor, _ f: Zip32, _ d: Zip64, _ bf: @escaping Gate32, _ bd: @escaping Gate64
  ) -> Tensor {
    let y = Tensor(uninitialized: gate.shape, gate.scalar)
    gate.zip(up, into: y, cost: 8, f, d)
    let (g, u) = (gate.detached, up.detached)
    return y.recorded([gate, up]) { [gNode = gate.node, uNode = up.node] dy, gradients in
      let dg = Tensor(uninitialized: g.shape, g.scalar)
      let du = Tensor(uninitialized: u.shape, u.scalar)
      Threads.split(g.count, cost: 8) { r in
        let i = r.lowerBound
        switch g.scalar {
        case .float32: bf(dg.f32 + i, du.f32 + i, g.f32 + i, u.f32 + i, dy.f32 + i, r.count)
        case .float64: bd(dg.f64 + i, du.f64 + i, g.f64 + i, u.f64 + i, dy.f64 + i, r.count)
        }
      }
      gradients.add(gNode, dg)
      gradients.add(uNode, du)
    }
  }

  /// Each entry is dropped with probability `p`, the others grow by 1/(1−p). The mask is a function of `stream`, so
  /// nothing is kept for the way back.
  public func dropout(_ p: Double, _ stream: Philox) -> Tensor {
    guard p > 0 else { return self }
    func masked(_ x: Tensor) -> Tensor {
      let y = Tensor(uninitialized: x.shape, x.scalar)
      Threads.split(x.count, cost: 4) { r in
        let i = r.lowerBound
        switch x.scalar {
        case .float32: dropout_f32(y.f32 + i, x.f32 + i, p, stream.key, 0, UInt64(i), r.count)
        case .float64: dropout_f64(y.f64 + i, x.f64 + i, p, stream.key, 0, UInt64(i), r.count)
        }
      }
      return y
    }
    return masked(self).recorded([self]) { [node] dy, gradients in gradients.add(node, masked(dy)) }
  }
}
