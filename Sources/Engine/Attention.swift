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
    /// As many of those before it that with its own they are this many, at least 1.
    case window(Int)
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
  /// Where scores are bent to: s becomes cap · tanh(s / cap).
  public var scoreCap: Double?

  public init(heads: Int, groups: Int, width: Int, scale: Double, sight: Sight = .past, scoreCap: Double? = nil) {
    self.heads = heads
    self.groups = groups
    self.width = width
    self.scale = scale
    self.sight = sight
    self.scoreCap = scoreCap
  }

  /// The positions that the query at `position` of a sequence of `length` may look at.
  func sight(from position: Int, of length: Int) -> Range<Int> {
    switch sight {
    case .past: 0..<position + 1
    case .window(let size): max(0, position + 1 - size)..<position + 1
    case .whole: 0..<length
    }
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
    let heads = AttentionBlock.runs(blocks) { $0.head == $1.head }
    Threads.each(heads.count) { run in
      let keys = KeyPanels(k, v, blocks[heads[run].lowerBound], shape)
      for index in heads[run] {
        let p = blocks[index].probabilities(q, keys, rows, shape)
        blocks[index].output(blocks[index].dropped(p, dropout, index), keys, y, shape)
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
