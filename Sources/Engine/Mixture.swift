import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension Tensor {
  /// y[t] = Σ_m weights[t, m] · x[t, m·D ..< (m+1)·D] for x [T, M·D], weights [T, M]: [T, D].
  public func weightedSlices(_ weights: Tensor) -> Tensor {
    let slices = weights.columns
    precondition(
      weights.rows == rows && columns % slices == 0 && scalar == weights.scalar, "\(weights.shape) weights for \(shape)")
    let keptX = weights.hasHistory ? detached : nil
    let keptWeights = weights.detached
    return Slices.sum(detached, keptWeights).recorded([self, weights]) { [node, wNode = weights.node] dy, gradients in
      gradients.add(node, Slices.spread(dy, keptWeights))
      if let keptX { gradients.add(wNode, Slices.dots(keptX, dy, slices)) }
    }
  }

  /// y[t] = Σ_m weights[t, m] · maps[m]·x[t] for x [T, D], maps [M, E, D], weights [T, M]: [T, E].
  ///
  /// All M products are one matrix product. They are made again on the way back rather than kept, so that a call holds
  /// T·(D + M) numbers, not T·M·E.
  public func mixture(of maps: Tensor, _ weights: Tensor) -> Tensor {
    precondition(
      maps.rank == 3 && maps.columns == columns && weights.columns == maps.shape[0] && weights.rows == rows
        && scalar == maps.scalar && scalar == weights.scalar, "a mixture of \(maps.shape) by \(weights.shape) for \(shape)")
    let (x, stack, w) = (detached, maps.detached.reshaped([maps.rows, columns]), weights.detached)
    let y = Slices.sum(x.multiplied(byTransposeOf: stack), w)
    return y.recorded([self, maps, weights]) { [node, mapsNode = maps.node, wNode = weights.node] dy, gradients in
      if wNode != nil { gradients.add(wNode, Slices.dots(x.multiplied(byTransposeOf: stack), dy, w.columns)) }
      guard node != nil || mapsNode != nil else { return }
      let spread = Slices.spread(dy, w)
      gradients.add(node, spread.multiplied(by: stack))
      gradients.into(mapsNode) { dMaps, accumulate in
        BLAS.multiply(
          spread.scalar, spread.columns, x.columns, x.rows, spread.operand.transpose, x.operand, beta: accumulate ? 1 : 0,
          into: dMaps.address(), stride: x.columns)
      }
    }
  }

  /// Σ over rows of KL(softmax(self) ‖ softmax(other)), both over the allowed entries of the row only: [1].
  public func divergence(from other: Tensor, allowed: [Bool]? = nil) -> Tensor {
    precondition(shape == other.shape && scalar == other.scalar, "divergence of \(shape) from \(other.shape)")
    let (p, q) = (detached.softmax(allowed: allowed), other.detached.softmax(allowed: allowed))
    let (a, b, d) = (values, other.values, columns)
    var total = 0.0
    var slopes = [Double](repeating: 0, count: count)
    let (weights, mayEnter) = (p.values, allowed ?? Array(repeating: true, count: count))
    for t in 0..<rows {
      let row = (t * d..<(t + 1) * d).filter { mayEnter[$0] }
      let shift = logSumExp(row.map { a[$0] }) - logSumExp(row.map { b[$0] })
      let kl = row.reduce(0) { $0 + weights[$1] * (a[$1] - b[$1] - shift) }
      for i in row { slopes[i] = weights[i] * (a[i] - b[i] - shift - kl) }
      total += kl
    }
    let slope = Tensor(slopes, shape: shape, scalar)
    return Tensor([total], scalar).recorded([self, other]) { [node, otherNode = other.node] dy, gradients in
      gradients.add(node, slope.scaled(by: dy.item))
      gradients.add(otherNode, (q - p).scaled(by: dy.item))
    }
  }
}

private func logSumExp(_ values: [Double]) -> Double {
  let largest = values.max() ?? 0
  return largest + log(values.reduce(0) { $0 + exp($1 - largest) })
}

/// Rows [M·D] seen as M slices of D.
private enum Slices {
  static func sum(_ x: Tensor, _ weights: Tensor) -> Tensor {
    let (slices, width) = (weights.columns, x.columns / weights.columns)
    let y = Tensor(uninitialized: [x.rows, width], x.scalar)
    Threads.split(x.rows, cost: x.columns) { r in
      let (t, n) = (r.lowerBound, r.count)
      switch x.scalar {
      case .float32:
        slice_sum_f32(y.f32 + t * width, x.f32 + t * x.columns, weights.f32 + t * slices, n, slices, width)
      case .float64:
        slice_sum_f64(y.f64 + t * width, x.f64 + t * x.columns, weights.f64 + t * slices, n, slices, width)
      }
    }
    return y
  }

  static func spread(_ y: Tensor, _ weights: Tensor) -> Tensor {
    let (slices, width) = (weights.columns, y.columns)
    let x = Tensor(uninitialized: [y.rows, slices * width], y.scalar)
    Threads.split(x.rows, cost: x.columns) { r in
      let (t, n) = (r.lowerBound, r.count)
      switch x.scalar {
      case .float32:
        slice_spread_f32(x.f32 + t * x.columns, y.f32 + t * width, weights.f32 + t * slices, n, slices, width)
      case .float64:
        slice_spread_f64(x.f64 + t * x.columns, y.f64 + t * width, weights.f64 + t * slices, n, slices, width)
      }
    }
    return x
  }

  static func dots(_ x: Tensor, _ y: Tensor, _ slices: Int) -> Tensor {
    let width = y.columns
    let products = Tensor(uninitialized: [x.rows, slices], x.scalar)
    Threads.split(x.rows, cost: x.columns) { r in
      let (t, n) = (r.lowerBound, r.count)
      switch x.scalar {
      case .float32:
        slice_dot_f32(products.f32 + t * slices, x.f32 + t * x.columns, y.f32 + t * width, n, slices, width)
      case .float64:
        slice_dot_f64(products.f64 + t * slices, x.f64 + t * x.columns, y.f64 + t * width, n, slices, width)
      }
    }
    return products
  }
}
