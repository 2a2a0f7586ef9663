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

/// Heads of an attention: `heads` queries of width `width`, `groups` keys and values shared among them.
public struct AttentionShape: Sendable {
  /// Which positions of its sequence a query may look at.
  public enum Sight: Sendable, Hashable {
    /// Its own and those before it.
    case past
    /// All of them.
    case whole
  }

  /// What a query gets that may see nothing but hidden rows.
  public enum Fallback: Sendable, Hashable {
    /// The mean over its sequence, as where masks are added to scores.
    case mean
    /// Zeros, as where masks are applied.
    case zeros
  }

  public var heads: Int
  public var groups: Int
  public var width: Int
  public var scale: Double
  public var sight: Sight
  public var fallback = Fallback.mean

  public init(heads: Int, groups: Int, width: Int, scale: Double, sight: Sight = .past) {
    self.heads = heads
    self.groups = groups
    self.width = width
    self.scale = scale
    self.sight = sight
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

  /// Attention of q [T, heads·width] over k, v [T, groups·width], sequence by sequence.
  ///
  /// Probabilities are never all in memory: blocks of queries are scored, softened and used, and scored again on the way
  /// back.
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
    let heads = AttentionBlock.runs(blocks) { $0.head == $1.head }
    Threads.each(heads.count) { run in
      let keys = KeyPanels(k, v, blocks[heads[run].lowerBound], shape)
      for index in heads[run] {
        let p = blocks[index].probabilities(q, keys, rows, shape)
        blocks[index].output(blocks[index].dropped(p, dropout, index), keys, rows, y, shape)
      }
    }
    let (keptQ, keptK, keptV) = (q.detached, k.detached, v.detached)
    return y.recorded([q, k, v]) { [qNode = q.node, kNode = k.node, vNode = v.node] dy, gradients in
      let dq = Tensor(uninitialized: keptQ.shape, keptQ.scalar)
      let (dk, dv) = (Tensor.zeros(keptK.shape, keptK.scalar), Tensor.zeros(keptV.shape, keptV.scalar))
      // Blocks of one group write the same dk and dv: each such run goes to one core, in order.
      let groups = AttentionBlock.runs(blocks) { $0.group == $1.group }
      Threads.each(groups.count) { run in
        let keys = KeyPanels(keptK, keptV, blocks[groups[run].lowerBound], shape, forGradient: true)
        for index in groups[run] {
          blocks[index].backward(keptQ, keys, dy, (dq, dk, dv), rows, shape, dropout: dropout, index: index)
        }
      }
      gradients.add(qNode, dq)
      gradients.add(kNode, dk)
      gradients.add(vNode, dv)
    }
  }
}

/// The keys and values that the heads of a group share, in the order products read them: k [keys, width], v [keys, width].
struct KeyPanels {
  let transposedKeys: Panels
  /// Of the way forward.
  let values: Panels?
  /// Of the way back.
  let keys: Panels?
  let transposedValues: Panels?

  init(_ k: Tensor, _ v: Tensor, _ block: AttentionBlock, _ shape: AttentionShape, forGradient: Bool = false) {
    let columns = block.group * shape.width..<(block.group + 1) * shape.width
    func panels(_ x: Tensor, transposed: Bool = false) -> Panels {
      Panels(x, rows: block.sequence, columns: columns, transposed: transposed)
    }
    transposedKeys = panels(k, transposed: true)
    values = forGradient ? nil : panels(v)
    keys = forGradient ? panels(k) : nil
    transposedValues = forGradient ? panels(v, transposed: true) : nil
  }
}

/// Some queries of one head against the keys they can see.
struct AttentionBlock {
  var head: Int
  var group: Int
  /// Rows of the sequence, and of the queries of this block.
  var sequence: Range<Int>
  var queries: Range<Int>
  /// How many keys, from the sequence's first on, any of the queries may see.
  var keyCount: Int
  var sight: AttentionShape.Sight
  var fallback: AttentionShape.Fallback

  static func all(_ rows: RowLayout, _ shape: AttentionShape) -> [AttentionBlock] {
    let height = 128
    var blocks: [AttentionBlock] = []
    for sequence in rows.sequences {
      for head in 0..<shape.heads {
        var start = sequence.lowerBound
        while start < sequence.upperBound {
          let end = min(sequence.upperBound, start + height)
          // With hidden keys a query may fall back on its whole sequence.
          let last = rows.visible == nil && shape.sight == .past ? end : sequence.upperBound
          blocks.append(
            AttentionBlock(
              head: head, group: head * shape.groups / shape.heads, sequence: sequence, queries: start..<end,
              keyCount: last - sequence.lowerBound, sight: shape.sight, fallback: shape.fallback))
          start = end
        }
      }
    }
    return blocks
  }

  /// Index ranges of neighbouring blocks of one sequence that belong together.
  static func runs(_ blocks: [AttentionBlock], _ belong: (AttentionBlock, AttentionBlock) -> Bool) -> [Range<Int>] {
    var runs: [Range<Int>] = []
    for (i, block) in blocks.enumerated() {
      if let last = runs.last, belong(blocks[last.lowerBound], block), blocks[last.lowerBound].sequence == block.sequence {
        runs[runs.count - 1] = last.lowerBound..<i + 1
      } else {
        runs.append(i..<i + 1)
      }
    }
    return runs
  }

  /// Position up to which the first query sees: its own within its sequence, unless it sees the whole of that.
  private var first: Int { sight == .whole ? keyCount : queries.lowerBound - sequence.lowerBound }

  /// This head's part of x [T, heads·width] at the block's queries.
  private func query(_ x: Tensor, _ shape: AttentionShape) -> BLAS.Operand {
    .init(address: x.address(queries.lowerBound * x.columns + head * shape.width), stride: x.columns)
  }

  private func queryPanels(_ x: Tensor, _ shape: AttentionShape) -> Panels {
    Panels(x, rows: queries, columns: head * shape.width..<(head + 1) * shape.width)
  }

  /// What a query does not see is 0, unless it fell back on everything.
  private func causal(_ kind: Panels.Causal, _ rows: RowLayout) -> Panels.Causal {
    rows.visible == nil && sight == .past ? kind : .no
  }

  /// softmax(scale · q·kᵀ) [queries, keys].
  func probabilities(_ q: Tensor, _ keys: KeyPanels, _ rows: RowLayout, _ shape: AttentionShape) -> Tensor {
    let p = Tensor(uninitialized: [queries.count, keyCount], q.scalar)
    keys.transposedKeys.multiplied(
      from: query(q, shape), rows: queries.count, columns: keyCount, causal: .columns, first: first, into: p.address(),
      stride: keyCount)
    func soften(_ allowed: UnsafePointer<UInt8>?) {
      switch p.scalar {
      case .float32: softmax_causal_f32(p.f32, queries.count, keyCount, first, Float(shape.scale), allowed)
      case .float64: softmax_causal_f64(p.f64, queries.count, keyCount, first, shape.scale, allowed)
      }
    }
    guard let visible = rows.visible else {
      soften(nil)
      return p
    }
    visible.withUnsafeBufferPointer { soften($0.baseAddress! + sequence.lowerBound) }
    for i in 0..<queries.count where isBlind(i, visible) {
      p.view(i * keyCount, [keyCount]).fill(1 / Double(keyCount))
    }
    return p
  }

  /// Whether query `i` of the block may see no key and looks at all evenly.
  private func isBlind(_ i: Int, _ visible: [UInt8]) -> Bool {
    guard fallback == .mean else { return false }
    let end = sight == .whole ? sequence.upperBound : queries.lowerBound + i + 1
    return !visible[sequence.lowerBound..<end].contains { $0 != 0 }
  }

  func dropped(_ p: Tensor, _ dropout: (p: Double, stream: Philox)?, _ index: Int) -> Tensor {
    guard let dropout else { return p }
    return p.dropout(dropout.p, dropout.stream.stream(UInt64(index)))
  }

  func output(_ p: Tensor, _ keys: KeyPanels, _ rows: RowLayout, _ y: Tensor, _ shape: AttentionShape) {
    keys.values?.multiplied(
      from: p.operand, rows: queries.count, depth: keyCount, causal: causal(.depth, rows), first: first,
      into: y.address(queries.lowerBound * y.columns + head * shape.width), stride: y.columns)
  }

  func backward(
    _ q: Tensor, _ keys: KeyPanels, _ dy: Tensor, _ sums: (dq: Tensor, dk: Tensor, dv: Tensor), _ rows: RowLayout,
    _ shape: AttentionShape, dropout: (p: Double, stream: Philox)?, index: Int
  ) {
    let p = probabilities(q, keys, rows, shape)
    let used = dropped(p, dropout, index)
    let (n, m) = (queries.count, keyCount)
    func add(_ a: Tensor, _ b: Panels, to sum: Tensor) {
      b.multiplied(
        from: a.operand.transpose, rows: m, causal: causal(.rows, rows), first: first,
        into: sum.address(sequence.lowerBound * sum.columns + group * shape.width), stride: sum.columns, accumulate: true)
    }
    add(used, queryPanels(dy, shape), to: sums.dv)
    var ds = Tensor(uninitialized: [n, m], q.scalar)
    keys.transposedValues?.multiplied(
      from: query(dy, shape), rows: n, columns: m, causal: causal(.columns, rows), first: first, into: ds.address(), stride: m)
    ds = dropped(ds, dropout, index)
    switch ds.scalar {
    case .float32: softmax_causal_backward_f32(ds.f32, p.f32, n, m, first, Float(shape.scale))
    case .float64: softmax_causal_backward_f64(ds.f64, p.f64, n, m, first, shape.scale)
    }
    if let visible = rows.visible {
      // An even look at everything does not depend on the scores.
      for i in 0..<n where isBlind(i, visible) { ds.view(i * m, [m]).fill(0) }
    }
    keys.keys?.multiplied(
      from: ds.operand, rows: n, depth: m, causal: causal(.depth, rows), first: first,
      into: sums.dq.address(queries.lowerBound * q.columns + head * shape.width), stride: q.columns)
    add(ds, queryPanels(q, shape), to: sums.dk)
  }
}
