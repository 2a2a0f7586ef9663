import CKernels

extension Tensor {
  /// Attention of n new queries q [n, heads·width] over the keys and values of all `count` positions so far, the new
  /// ones last: `keys` and `values` [capacity, groups·width] hold them in their first `count` rows. Query i stands at position
  /// count − n + i and sees what `shape` says, never what comes after it. For generation: nothing is recorded.
  public static func cachedAttention(
    _ q: Tensor, keys: Tensor, values: Tensor, count: Int, _ shape: AttentionShape
  ) -> Tensor {
    precondition(q.rows <= count && count <= keys.rows && keys.scalar == q.scalar && values.scalar == q.scalar)
    precondition(shape.sight != .whole, "what comes later is not in a cache")
    let y = Tensor(uninitialized: q.shape, q.scalar)
    // Blocks of queries bound the memory for scores.
    let height = 128
    let blocks = (q.rows + height - 1) / height
    let most = min(count, shape.window == 0 ? count : shape.window + height)
    Threads.split(shape.heads * blocks, cost: 2 * most * shape.width * min(q.rows, height)) { units in
      for unit in units {
        let (head, start) = (unit / blocks, unit % blocks * height)
        let rows = min(height, q.rows - start)
        let group = head * shape.groups / shape.heads
        let first = count - q.rows + start
        let seen = shape.sight(from: first, of: count).lowerBound..<first + rows
        func operand(_ cache: Tensor) -> BLAS.Operand {
          .init(address: cache.address(seen.lowerBound * cache.columns + group * shape.width), stride: cache.columns)
        }
        let at = start * q.columns + head * shape.width
        let p = Tensor(uninitialized: [rows, seen.count], q.scalar)
        BLAS.multiply(
          q.scalar, rows, seen.count, shape.width, .init(address: q.address(at), stride: q.columns), operand(keys).transpose,
          into: p.address(), stride: seen.count, threads: 1)
        soften(p, first: first - seen.lowerBound, shape)
        BLAS.multiply(
          q.scalar, rows, shape.width, seen.count, p.operand, operand(values), into: y.address(at), stride: y.columns,
          threads: 1)
      }
    }
    return y
  }

  /// Scores [queries, keys] before the scale become probabilities, in place.
  private static func soften(_ p: Tensor, first: Int, _ shape: AttentionShape) {
    var scale = shape.scale
    if let cap = shape.scoreCap {
      switch p.scalar {
      case .float32: softcap_f32(p.f32, p.f32, Float(scale), Float(cap), p.count)
      case .float64: softcap_f64(p.f64, p.f64, scale, cap, p.count)
      }
      scale = 1
    }
    switch p.scalar {
    case .float32: softmax_causal_f32(p.f32, p.rows, p.columns, first, shape.window, Float(scale), nil)
    case .float64: softmax_causal_f64(p.f64, p.rows, p.columns, first, shape.window, scale, nil)
    }
  }
}
