import CKernels
import Testing

@testable import Engine

/// Attention in panels and blocks against sums written down as they are defined.
@Suite struct AttentionTests {
  @Test(arguments: [(1, 5, 3), (6, 32, 16), (7, 33, 1), (13, 64, 40), (130, 70, 9)])
  func panelsMultiply(rows: Int, columns: Int, depth: Int) {
    let a = values(rows * depth, seed: 1), aT = values(depth * rows, seed: 2)
    let b = values(depth * columns, seed: 3), bT = values(columns * depth, seed: 4), c = values(rows * columns, seed: 5)
    let size = (columns + 31) / 32 * 32 * depth
    for transposedA in [false, true] {
      for transposedB in [false, true] {
        for accumulate in [Int32(0), 1] {
          for (causal, first, window) in [
            (Int32(0), 0, 0), (1, 0, 0), (1, 4, 0), (2, 0, 0), (2, 3, 0), (3, 0, 0), (3, 5, 0), (1, 0, 1), (1, 4, 3), (1, 37, 20),
            (2, 0, 1), (2, 3, 2), (2, 30, 13), (3, 0, 1), (3, 5, 4), (3, 31, 17),
          ] {
            /// Whether a query does not see a key.
            func isHidden(_ key: Int, _ query: Int) -> Bool {
              key > first + query || window > 0 && key <= first + query - window
            }
            let left = transposedA ? aT : a, right = transposedB ? bT : b
            let (row, column) = transposedA ? (1, rows) : (depth, 1)
            let stride = transposedB ? depth : columns
            // What a causal product leaves out of its left side is 0 there.
            var zeroed = left
            for i in 0..<rows {
              for l in 0..<depth where (causal == 2 && isHidden(l, i)) || (causal == 3 && isHidden(i, l)) {
                zeroed[i * row + l * column] = 0
              }
            }
            var (narrow, wideC, auto, reference, exact) = (c, c, c, c, wide(c))
            var panels = [Float](repeating: .nan, count: size), plain = panels
            var doubles = [Double](repeating: .nan, count: size)
            let turned: Int32 = transposedB ? 1 : 0
            pack_panels_f32(&panels, right, stride, turned, depth, columns)
            pack_panels_ref_f32(&plain, right, stride, turned, depth, columns)
            pack_panels_f64(&doubles, wide(right), stride, turned, depth, columns)
            #expect(panels == plain && wide(panels) == doubles)
            panel_product_narrow_f32(
              &narrow, columns, accumulate, zeroed, row, column, panels, depth, rows, columns, depth, causal, first, window)
            panel_product_wide_f32(
              &wideC, columns, accumulate, zeroed, row, column, panels, depth, rows, columns, depth, causal, first, window)
            panel_product_f32(
              &auto, columns, accumulate, zeroed, row, column, panels, depth, rows, columns, depth, causal, first, window)
            panel_product_ref_f32(
              &reference, columns, accumulate, left, row, column, panels, depth, rows, columns, depth, causal, first, window)
            panel_product_f64(
              &exact, columns, accumulate, wide(left), row, column, doubles, depth, rows, columns, depth, causal, first, window)
            #expect(narrow == auto || wideC == auto)
            for i in 0..<rows {
              for j in 0..<columns {
                let at = i * columns + j
                if causal == 1 && isHidden(j, i) {
                  // May be left as it was, or computed.
                  #expect(reference[at] == c[at])
                  (narrow[at], wideC[at], reference[at]) = (c[at], c[at], c[at])
                  exact[at] = Double(c[at])
                  continue
                }
                var sum = accumulate == 1 ? Double(c[at]) : 0
                for l in 0..<depth {
                  sum += Double(zeroed[i * row + l * column]) * Double(right[transposedB ? j * stride + l : l * stride + j])
                }
                #expect(abs(exact[at] - sum) < 1e-9)
              }
            }
            agree("narrow", tolerance: 1e-5, fast: narrow, reference: reference, double: exact)
            agree("wide", tolerance: 1e-5, fast: wideC, reference: reference, double: exact)
          }
        }
      }
    }
  }

  /// Sequences longer than a block, heads that share keys, ragged rows; with padding, without.
  @Test(
    arguments: [nil, AttentionShape.Fallback.mean, .zeros],
    [(AttentionShape.Sight.past, nil), (.past, 0.3), (.whole, nil), (.window(1), nil), (.window(40), 0.3), (.window(200), nil)])
  func manyBlocks(hidden: AttentionShape.Fallback?, looking: (sight: AttentionShape.Sight, cap: Double?)) {
    let (sight, cap) = looking
    let (heads, groups, width) = (4, 2, 10)
    let lengths = [300, 1, 129, 70]
    let count = lengths.reduce(0, +)
    var visible = [UInt8](repeating: 1, count: count)
    if hidden != nil {
      for t in 0..<12 { visible[t] = 0 }
      for t in 495..<500 { visible[t] = 0 }
      visible[300] = 0
      for t in 305..<350 { visible[t] = 0 }
    }
    let rows = RowLayout(lengths: lengths, visible: hidden == nil ? nil : visible)
    var shape = AttentionShape(heads: heads, groups: groups, width: width, scale: 0.4, sight: sight, scoreCap: cap)
    shape.fallback = hidden ?? .mean
    var random = Philox(key: 11)
    func drawn(_ columns: Int) -> Tensor { random.uniform([count, columns], in: -1..<1) }
    let (q, k, v) = (drawn(heads * width), drawn(groups * width), drawn(groups * width))
    let weights = drawn(heads * width)
    func part(_ x: Tensor, _ sequence: Range<Int>, _ index: Int) -> Tensor {
      x.slice(rows: sequence).slice(columns: index * width..<(index + 1) * width)
    }
    /// Output by sequence and head, one after the other, and the gradients of q, k, v.
    func result(_ scalar: ScalarType, _ attend: (Tensor, Tensor, Tensor, Range<Int>, Int) -> Tensor) -> [[Double]] {
      let leaves = [q, k, v].map { $0.converted(to: scalar).tracked() }
      let factors = weights.converted(to: scalar)
      var values: [Double] = []
      var loss = Tensor.zeros([1], scalar)
      for sequence in rows.sequences {
        for head in 0..<heads {
          let y = attend(leaves[0], leaves[1], leaves[2], sequence, head)
          values += y.values
          loss = loss + (y * part(factors, sequence, head)).sum
        }
      }
      loss.backward()
      return [values] + leaves.map { $0.gradient?.values ?? [] }
    }
    func whole(_ scalar: ScalarType) -> [[Double]] {
      var y: Tensor?
      return result(scalar) { q, k, v, sequence, head in
        let all = y ?? Tensor.attention(q, k, v, rows, shape)
        y = all
        return part(all, sequence, head)
      }
    }
    /// By a sequence's first row, what each query sees of each key, and what it makes of all where that is nothing.
    var looks: [Int: (seen: [Bool], even: [Double])] = [:]
    for sequence in rows.sequences {
      let n = sequence.count
      let seen = (0..<n * n).map { i in
        let (query, key) = (i / n, i % n)
        let isInSight =
          switch sight {
          case .past: key <= query
          case .window(let size): key <= query && key > query - size
          case .whole: true
          }
        return isInSight && visible[sequence.lowerBound + key] != 0
      }
      let even = (0..<n).flatMap { i in
        [Double](repeating: hidden == .zeros || seen[i * n..<i * n + n].contains(true) ? 0 : 1 / Double(n), count: n)
      }
      looks[sequence.lowerBound] = (seen, even)
    }
    let plain = result(.float64) { q, k, v, sequence, head in
      let (group, n) = (head * groups / heads, sequence.count)
      var scores = part(q, sequence, head).multiplied(byTransposeOf: part(k, sequence, group), scale: shape.scale)
      if let cap { scores = cap * (scores * (1 / cap)).tanh }
      guard let (seen, even) = looks[sequence.lowerBound] else { return scores }
      let p = scores.softmax(allowed: seen) + Tensor(even, shape: [n, n], .float64)
      return p.multiplied(by: part(v, sequence, group))
    }
    for ((a, b), c) in zip(zip(whole(.float32), whole(.float64)), plain) {
      #expect(a.count == c.count && !c.isEmpty)
      #expect(error(b, c) < 1e-12)
      #expect(error(a, c) < 3e-6)
    }
  }

  /// What a window hides costs nothing: neither products nor memory.
  @Test func windowsBoundBlocks() {
    let (rows, shape) = (
      RowLayout(lengths: [1000, 50]), AttentionShape(heads: 2, groups: 1, width: 4, scale: 1, sight: .window(100))
    )
    for block in AttentionBlock.all(rows, shape) {
      #expect(block.keys.count <= 100 + 128 + 31 && block.keys.upperBound == block.queries.upperBound)
      #expect(block.keys.lowerBound <= max(block.sequence.lowerBound, block.queries.lowerBound - 99))
    }
  }

  /// One query at a time or many, the same positions are seen.
  @Test(arguments: [AttentionShape.Sight.past, .window(1), .window(7), .window(150)], [nil, 0.3])
  func cachedQueriesSeeTheSame(sight: AttentionShape.Sight, cap: Double?) {
    let shape = AttentionShape(heads: 4, groups: 2, width: 6, scale: 0.4, sight: sight, scoreCap: cap)
    var random = Philox(key: 5)
    let (q, k, v) = (
      random.normal([200, 24], deviation: 1, .float64), random.normal([200, 12], deviation: 1, .float64),
      random.normal([200, 12], deviation: 1, .float64)
    )
    let whole = Tensor.attention(q, k, v, RowLayout(lengths: [200]), shape).values
    for count in [1, 3, 197, 200] {
      let part = Tensor.cachedAttention(q.slice(rows: 200 - count..<200), keys: k, values: v, count: 200, shape)
      #expect(error(part.values, Array(whole.suffix(count * 24))) < 1e-12)
    }
  }
}
