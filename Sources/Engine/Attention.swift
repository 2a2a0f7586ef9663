import CKernels

/// How the rows of an activation matrix divide into sequences. Attention never crosses from one into another, so
/// examples packed into one row of a batch are simply more sequences.
public struct RowLayout: Sendable {
  /// Consecutive ranges that cover all rows.
  public let sequences: [Range<Int>]
  /// Position of each row within its sequence.
  public let positions: [Int32]
  /// 0 for rows that no query may look at (padding), by row; nil where every row may be seen.
  public let visible: [UInt8]?

  public init(lengths: [Int], visible: [UInt8]? = nil) {
    var start = 0
    var ranges: [Range<Int>] = []
    var positions: [Int32] = []
    for length in lengths {
      ranges.append(start..<start + length)
      positions += (0..<Int32(length))
      start += length
    }
    sequences = ranges
    self.positions = positions
    precondition(visible == nil || visible!.count == start)
    self.visible = visible?.contains(0) == true ? visible : nil
  }

  /// `sequences` sequences of equal length.
  public init(sequences: Int, length: Int, visible: [UInt8]? = nil) {
    self.init(lengths: Array(repeating: length, count: sequences), visible: visible)
  }

  public var count: Int { positions.count }
}

/// Heads of a causal attention: `heads` queries of width `width`, `groups` keys and values shared among them.
public struct AttentionShape: Sendable {
  public var heads: Int
  public var groups: Int
  public var width: Int
  public var scale: Double

  public init(heads: Int, groups: Int, width: Int, scale: Double) {
    self.heads = heads
    self.groups = groups
    self.width = width
    self.scale = scale
  }
}

extension Tensor {
  /// Rotary position embedding over heads of `width`: pairs (i, i + width/2) turn by the angle of the row's position.
  ///
  /// `cosine`, `sine` are [positions, width/2].
  public func rotary(_ cosine: Tensor, _ sine: Tensor, _ positions: [Int32], width: Int) -> Tensor {
    precondition(
      columns % width == 0 && cosine.columns * 2 == width && sine.shape == cosine.shape && cosine.scalar == scalar,
      "rotary: angles of \(cosine.shape) for heads of \(width) in \(shape)")
    precondition(
      positions.count == rows && positions.allSatisfy { $0 >= 0 && $0 < cosine.rows },
      "rotary: \(rows) rows at positions outside 0..<\(cosine.rows)")
    func turned(_ x: Tensor, _ sign: Double) -> Tensor {
      let y = Tensor(uninitialized: x.shape, x.scalar)
      let d = x.columns
      Threads.split(x.rows, cost: 2 * d) { r in
        positions.withUnsafeBufferPointer { positions in
          let (at, i) = (positions.baseAddress! + r.lowerBound, r.lowerBound * d)
          switch x.scalar {
          case .float32:
            rope_f32(y.f32 + i, x.f32 + i, cosine.f32, sine.f32, at, r.count, d / width, width, Float(sign), d, d)
          case .float64:
            rope_f64(y.f64 + i, x.f64 + i, cosine.f64, sine.f64, at, r.count, d / width, width, sign, d, d)
          }
        }
      }
      return y
    }
    return turned(self, 1).recorded([self]) { [node] dy, gradients in gradients.add(node, turned(dy, -1)) }
  }

  /// Causal attention of q [T, heads·width] over k, v [T, groups·width], sequence by sequence.
  ///
  /// Probabilities are never all in memory: blocks of queries are scored, softened and used, and scored again on the way
  /// back. A query that may see nothing looks at its whole sequence evenly, as the reference implementations do.
  public static func attention(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, _ rows: RowLayout, _ shape: AttentionShape, dropout: (p: Double, Philox)? = nil
  ) -> Tensor {
    let (queries, keys) = ([rows.count, shape.heads * shape.width], [rows.count, shape.groups * shape.width])
    precondition(
      q.shape == queries && k.shape == keys && v.shape == keys && q.scalar == k.scalar && q.scalar == v.scalar,
      "attention of \(q.shape) over \(k.shape) and \(v.shape), not \(queries) over \(keys)")
    return Phase.attention.spent { attended(q, k, v, rows, shape, dropout) }
  }

  private static func attended(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, _ rows: RowLayout, _ shape: AttentionShape, _ dropout: (p: Double, Philox)?
  ) -> Tensor {
    let y = Tensor(uninitialized: q.shape, q.scalar)
    let blocks = AttentionBlock.all(rows, shape)
    Threads.each(blocks.count) { index in
      let block = blocks[index]
      let p = block.probabilities(q, k, rows, shape)
      block.output(block.dropped(p, dropout, index), v, y, shape)
    }
    let (keptQ, keptK, keptV) = (q.detached, k.detached, v.detached)
    return y.recorded([q, k, v]) { [qNode = q.node, kNode = k.node, vNode = v.node] dy, gradients in
      let dq = Tensor(uninitialized: keptQ.shape, keptQ.scalar)
      let (dk, dv) = (Tensor.zeros(keptK.shape, keptK.scalar), Tensor.zeros(keptV.shape, keptV.scalar))
      // Blocks of one (sequence, group) write the same dk and dv: each such run goes to one core, in order.
      let runs = AttentionBlock.runs(blocks)
      Threads.each(runs.count) { run in
        for index in runs[run] {
          blocks[index].backward(
            keptQ, keptK, keptV, dy, dq, dk, dv, rows, shape, dropout: dropout, index: index)
        }
      }
      gradients.add(qNode, dq)
      gradients.add(kNode, dk)
      gradients.add(vNode, dv)
    }
  }
}

/// Some queries of one head against the keys they can see.
struct AttentionBlock {
  var head: Int
  var group: Int
  /// Rows of the sequence, and of the queries of this block.
  var sequence: Range<Int>
  var queries: Range<Int>
  /// Rows of keys that any of the queries may see.
  var keys: Range<Int>

  static func all(_ rows: RowLayout, _ shape: AttentionShape) -> [AttentionBlock] {
    let height = 128
    var blocks: [AttentionBlock] = []
    for sequence in rows.sequences {
      for head in 0..<shape.heads {
        var start = sequence.lowerBound
        while start < sequence.upperBound {
          let end = min(sequence.upperBound, start + height)
          // With hidden keys a query may fall back on its whole sequence.
          let keys = sequence.lowerBound..<(rows.visible == nil ? end : sequence.upperBound)
          blocks.append(
            AttentionBlock(
              head: head, group: head * shape.groups / shape.heads, sequence: sequence, queries: start..<end, keys: keys))
          start = end
        }
      }
    }
    return blocks
  }

  /// Index ranges of blocks that share their keys' gradients.
  static func runs(_ blocks: [AttentionBlock]) -> [Range<Int>] {
    var runs: [Range<Int>] = []
    for (i, block) in blocks.enumerated() {
      if let last = runs.last, blocks[last.lowerBound].group == block.group,
        blocks[last.lowerBound].sequence == block.sequence
      {
        runs[runs.count - 1] = last.lowerBound..<i + 1
      } else {
        runs.append(i..<i + 1)
      }
    }
    return runs
  }

  private func query(_ x: Tensor, _ shape: AttentionShape) -> BLAS.Operand {
    .init(address: x.address(queries.lowerBound * x.columns + head * shape.width), stride: x.columns)
  }

  private func key(_ x: Tensor, _ shape: AttentionShape) -> BLAS.Operand {
    .init(address: x.address(keys.lowerBound * x.columns + group * shape.width), stride: x.columns)
  }

  /// softmax(scale · q·kᵀ) [queries, keys].
  func probabilities(_ q: Tensor, _ k: Tensor, _ rows: RowLayout, _ shape: AttentionShape) -> Tensor {
    let p = Tensor(uninitialized: [queries.count, keys.count], q.scalar)
    BLAS.multiply(
      q.scalar, queries.count, keys.count, shape.width, query(q, shape), key(k, shape).transpose, into: p.address(),
      stride: keys.count, threads: 1)
    let first = queries.lowerBound - sequence.lowerBound
    func soften(_ allowed: UnsafePointer<UInt8>?) {
      switch p.scalar {
      case .float32: softmax_causal_f32(p.f32, queries.count, keys.count, first, Float(shape.scale), allowed)
      case .float64: softmax_causal_f64(p.f64, queries.count, keys.count, first, shape.scale, allowed)
      }
    }
    guard let visible = rows.visible else {
      soften(nil)
      return p
    }
    visible.withUnsafeBufferPointer { soften($0.baseAddress! + keys.lowerBound) }
    for i in 0..<queries.count where isBlind(i, visible) {
      p.view(i * keys.count, [keys.count]).fill(1 / Double(keys.count))
    }
    return p
  }

  /// Whether query `i` of the block may see no key.
  private func isBlind(_ i: Int, _ visible: [UInt8]) -> Bool {
    !visible[sequence.lowerBound...queries.lowerBound + i].contains { $0 != 0 }
  }

  func dropped(_ p: Tensor, _ dropout: (p: Double, stream: Philox)?, _ index: Int) -> Tensor {
    guard let dropout else { return p }
    return p.dropout(dropout.p, dropout.stream.stream(UInt64(index)))
  }

  func output(_ p: Tensor, _ v: Tensor, _ y: Tensor, _ shape: AttentionShape) {
    BLAS.multiply(
      y.scalar, queries.count, shape.width, keys.count, p.operand, key(v, shape),
      into: y.address(queries.lowerBound * y.columns + head * shape.width), stride: y.columns, threads: 1)
  }

  func backward(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, _ dy: Tensor, _ dq: Tensor, _ dk: Tensor, _ dv: Tensor, _ rows: RowLayout,
    _ shape: AttentionShape, dropout: (p: Double, stream: Philox)?, index: Int
  ) {
    let p = probabilities(q, k, rows, shape)
    let used = dropped(p, dropout, index)
    let (n, m, d) = (queries.count, keys.count, shape.width)
    BLAS.multiply(
      q.scalar, m, d, n, used.operand.transpose, query(dy, shape), beta: 1,
      into: dv.address(keys.lowerBound * dv.columns + group * d), stride: dv.columns, threads: 1)
    var ds = Tensor(uninitialized: [n, m], q.scalar)
    BLAS.multiply(
      q.scalar, n, m, d, query(dy, shape), key(v, shape).transpose, into: ds.address(), stride: m, threads: 1)
    ds = dropped(ds, dropout, index)
    let first = queries.lowerBound - sequence.lowerBound
    switch ds.scalar {
    case .float32: softmax_causal_backward_f32(ds.f32, p.f32, n, m, first, Float(shape.scale))
    case .float64: softmax_causal_backward_f64(ds.f64, p.f64, n, m, first, shape.scale)
    }
    if let visible = rows.visible {
      // An even look at everything does not depend on the scores.
      for i in 0..<n where isBlind(i, visible) { ds.view(i * m, [m]).fill(0) }
    }
    BLAS.multiply(
      q.scalar, n, d, m, ds.operand, key(k, shape), into: dq.address(queries.lowerBound * dq.columns + head * d),
      stride: dq.columns, threads: 1)
    BLAS.multiply(
      q.scalar, m, d, n, ds.operand.transpose, query(q, shape), beta: 1,
      into: dk.address(keys.lowerBound * dk.columns + group * d), stride: dk.columns, threads: 1)
  }
}
