import CKernels

extension Tensor {
  /// Attention of n new queries q [n, heads·width] over the keys and values of all `count` positions so far, the new
  /// ones last: `keys` and `values` [capacity, groups·width] hold them in their first `count` rows. Query i sees the
  /// positions up to its own, count − n + i. For generation: nothing is recorded.
  public static func cachedAttention(
    _ q: Tensor, keys: Tensor, values: Tensor, count: Int, _ shape: AttentionShape
  ) -> Tensor {
    precondition(q.rows <= count && count <= keys.rows && keys.scalar == q.scalar && values.scalar == q.scalar)
    let y = Tensor(uninitialized: q.shape, q.scalar)
    // Blocks of queries bound the memory for scores.
    let height = 128
    let blocks = (q.rows + height - 1) / height
    Threads.split(shape.heads * blocks, cost: 2 * count * shape.width * min(q.rows, height)) { units in
      for unit in units {
        let (head, start) = (unit / blocks, unit % blocks * height)
        let rows = min(height, q.rows - start)
        let group = head * shape.groups / shape.heads
        let visible = count - q.rows + start + rows
        func operand(_ cache: Tensor) -> BLAS.Operand {
          .init(address: cache.address(group * shape.width), stride: cache.columns)
        }
        let at = start * q.columns + head * shape.width
        let p = Tensor(uninitialized: [rows, visible], q.scalar)
        BLAS.multiply(
          q.scalar, rows, visible, shape.width, .init(address: q.address(at), stride: q.columns), operand(keys).transpose,
          into: p.address(), stride: visible, threads: 1)
        switch p.scalar {
        case .float32: softmax_causal_f32(p.f32, rows, visible, visible - rows, Float(shape.scale), nil)
        case .float64: softmax_causal_f64(p.f64, rows, visible, visible - rows, shape.scale, nil)
        }
        BLAS.multiply(
          q.scalar, rows, shape.width, visible, p.operand, operand(values), into: y.address(at), stride: y.columns,
          threads: 1)
      }
    }
    return y
  }
}
