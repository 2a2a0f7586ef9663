import CKernels

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
  /// Rows of the sequence, of the queries of this block, and of the keys that any of these may see.
  var sequence: Range<Int>
  var queries: Range<Int>
  var keys: Range<Int>
  /// Queries of this block that may see no key and look at their whole sequence evenly: places within the block.
  var blind: [Int]

  static func all(_ rows: RowLayout, _ shape: AttentionShape) -> [AttentionBlock] {
    let height = 128
    var blocks: [AttentionBlock] = []
    for sequence in rows.sequences {
      let blind = blindRows(of: sequence, rows, shape)
      for head in 0..<shape.heads {
        var start = sequence.lowerBound
        while start < sequence.upperBound {
          let queries = start..<min(sequence.upperBound, start + height)
          let mine = blind.filter(queries.contains).map { $0 - start }
          blocks.append(
            AttentionBlock(
              head: head, group: head * shape.groups / shape.heads, sequence: sequence, queries: queries,
              keys: mine.isEmpty ? keys(of: queries, in: sequence, shape) : sequence, blind: mine))
          start = queries.upperBound
        }
      }
    }
    return blocks
  }

  /// What the queries see together, from the first key of a panel on.
  private static func keys(of queries: Range<Int>, in sequence: Range<Int>, _ shape: AttentionShape) -> Range<Int> {
    func sight(_ row: Int) -> Range<Int> { shape.sight(from: row - sequence.lowerBound, of: sequence.count) }
    let begin = Panels.begin(of: sight(queries.lowerBound).lowerBound)
    return sequence.lowerBound + begin..<sequence.lowerBound + sight(queries.upperBound - 1).upperBound
  }

  /// The rows of a sequence from which only hidden ones are in sight.
  private static func blindRows(of sequence: Range<Int>, _ rows: RowLayout, _ shape: AttentionShape) -> [Int] {
    guard let visible = rows.visible, shape.fallback == .mean else { return [] }
    // Of how many visible rows each stands behind.
    var before = [0]
    for row in sequence { before.append(before[before.count - 1] + (visible[row] == 0 ? 0 : 1)) }
    return sequence.filter { row in
      let sight = shape.sight(from: row - sequence.lowerBound, of: sequence.count)
      return before[sight.lowerBound] == before[sight.upperBound]
    }
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

  /// The keys by their places in the sequence, which is what panels hold.
  private var places: Range<Int> { keys.lowerBound - sequence.lowerBound..<keys.upperBound - sequence.lowerBound }

  /// Which of the block's keys the first query sees last: its own, unless it sees all.
  private func first(_ shape: AttentionShape) -> Int {
    shape.sight == .whole ? keys.count : queries.lowerBound - keys.lowerBound
  }

  /// What a product leaves out where queries see what they should, and where some fell back on everything.
  private func sight(_ causal: Panels.Causal, _ shape: AttentionShape, blind: Bool = false) -> Panels.Sight {
    shape.sight == .whole || blind
      ? Panels.Sight() : Panels.Sight(causal: causal, first: first(shape), window: shape.window)
  }

  /// This head's part of x [T, heads·width] at the block's queries.
  private func query(_ x: Tensor, _ shape: AttentionShape) -> BLAS.Operand {
    .init(address: x.address(queries.lowerBound * x.columns + head * shape.width), stride: x.columns)
  }

  private func queryPanels(_ x: Tensor, _ shape: AttentionShape) -> Panels {
    Panels(x, rows: queries, columns: head * shape.width..<(head + 1) * shape.width)
  }

  /// scale · q·kᵀ [queries, keys] before the scale, or with scale and cap where there is one; only where keys are in sight.
  private func scores(_ q: Tensor, _ keys: KeyPanels, _ shape: AttentionShape) -> Tensor {
    let scores = Tensor(uninitialized: [queries.count, self.keys.count], q.scalar)
    keys.transposedKeys.multiplied(
      from: query(q, shape), rows: queries.count, columns: places, sight: sight(.columns, shape), into: scores.address(),
      stride: self.keys.count)
    guard let cap = shape.scoreCap else { return scores }
    for place in seen(shape) {
      switch scores.scalar {
      case .float32:
        softcap_f32(scores.f32 + place.lowerBound, scores.f32 + place.lowerBound, Float(shape.scale), Float(cap), place.count)
      case .float64: softcap_f64(scores.f64 + place.lowerBound, scores.f64 + place.lowerBound, shape.scale, cap, place.count)
      }
    }
    return scores
  }

  /// Where the scores of each query are that are in its sight, hidden keys and all.
  private func seen(_ shape: AttentionShape) -> [Range<Int>] {
    queries.indices.map { row in
      let sight = shape.sight(from: row - sequence.lowerBound, of: sequence.count)
      let start = (row - queries.lowerBound) * keys.count - places.lowerBound
      return start + max(sight.lowerBound, places.lowerBound)..<start + sight.upperBound
    }
  }

  /// Scores become probabilities, in place.
  private func soften(_ p: Tensor, _ rows: RowLayout, _ shape: AttentionShape) {
    let (n, m, first) = (queries.count, keys.count, first(shape))
    let scale = shape.scoreCap == nil ? shape.scale : 1
    func soften(_ allowed: UnsafePointer<UInt8>?) {
      switch p.scalar {
      case .float32: softmax_causal_f32(p.f32, n, m, first, shape.window, Float(scale), allowed)
      case .float64: softmax_causal_f64(p.f64, n, m, first, shape.window, scale, allowed)
      }
    }
    guard let visible = rows.visible else { return soften(nil) }
    visible.withUnsafeBufferPointer { soften($0.baseAddress! + keys.lowerBound) }
    for i in blind { p.view(i * m, [m]).fill(1 / Double(m)) }
  }

  func probabilities(_ q: Tensor, _ keys: KeyPanels, _ rows: RowLayout, _ shape: AttentionShape) -> Tensor {
    let p = scores(q, keys, shape)
    soften(p, rows, shape)
    return p
  }

  func dropped(_ p: Tensor, _ dropout: (p: Double, stream: Philox)?, _ index: Int) -> Tensor {
    guard let dropout else { return p }
    return p.dropout(dropout.p, dropout.stream.stream(UInt64(index)))
  }

  func output(_ p: Tensor, _ keys: KeyPanels, _ y: Tensor, _ shape: AttentionShape) {
    keys.values?.multiplied(
      from: p.operand, rows: queries.count, depth: places, sight: sight(.depth, shape, blind: !blind.isEmpty),
      into: y.address(queries.lowerBound * y.columns + head * shape.width), stride: y.columns)
  }

  func backward(
    _ q: Tensor, _ keys: KeyPanels, _ dy: Tensor, _ sums: (dq: Tensor, dk: Tensor, dv: Tensor), _ rows: RowLayout,
    _ shape: AttentionShape, dropout: (p: Double, stream: Philox)?, index: Int
  ) {
    let p = scores(q, keys, shape)
    let capped = shape.scoreCap == nil ? nil : p.copied()
    soften(p, rows, shape)
    let used = dropped(p, dropout, index)
    let (n, m) = (queries.count, self.keys.count)
    func add(_ a: Tensor, _ b: Panels, to sum: Tensor, blind: Bool) {
      b.multiplied(
        from: a.operand.transpose, rows: m, sight: sight(.rows, shape, blind: blind),
        into: sum.address(self.keys.lowerBound * sum.columns + group * shape.width), stride: sum.columns, accumulate: true)
    }
    add(used, queryPanels(dy, shape), to: sums.dv, blind: !blind.isEmpty)
    var ds = Tensor(uninitialized: [n, m], q.scalar)
    keys.transposedValues?.multiplied(
      from: query(dy, shape), rows: n, columns: places, sight: sight(.columns, shape), into: ds.address(), stride: m)
    ds = dropped(ds, dropout, index)
    let scale = capped == nil ? shape.scale : 1
    switch ds.scalar {
    case .float32: softmax_causal_backward_f32(ds.f32, p.f32, n, m, first(shape), shape.window, Float(scale))
    case .float64: softmax_causal_backward_f64(ds.f64, p.f64, n, m, first(shape), shape.window, scale)
    }
    // An even look at everything does not depend on the scores.
    for i in blind { ds.view(i * m, [m]).fill(0) }
    if let capped { uncap(ds, capped, shape) }
    keys.keys?.multiplied(
      from: ds.operand, rows: n, depth: places, sight: sight(.depth, shape),
      into: sums.dq.address(queries.lowerBound * q.columns + head * shape.width), stride: q.columns)
    add(ds, queryPanels(q, shape), to: sums.dk, blind: false)
  }

  /// Gradients of capped scores become those of q·kᵀ, in place.
  private func uncap(_ ds: Tensor, _ capped: Tensor, _ shape: AttentionShape) {
    guard let cap = shape.scoreCap else { return }
    for place in seen(shape) {
      let at = place.lowerBound
      switch ds.scalar {
      case .float32: softcap_backward_f32(ds.f32 + at, capped.f32 + at, ds.f32 + at, Float(shape.scale), Float(cap), place.count)
      case .float64: softcap_backward_f64(ds.f64 + at, capped.f64 + at, ds.f64 + at, shape.scale, cap, place.count)
      }
    }
  }
}

extension AttentionShape {
  /// As kernels want it: 0 where nothing lies too far back.
  var window: Int { if case .window(let size) = sight { size } else { 0 } }
}
