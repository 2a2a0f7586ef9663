import Engine
import PEFTKernel

// Which atoms a token's core is made of.
extension RoutedAtoms {
  /// α [T, M] of a block, from its leader's z = A·x [T, rank]:
  ///
  ///     q = W_q·[norm(z); s],  a_m = (q + λ·W_e·e)·k_m / (√d·τ),  α = softmax over the k largest a_m
  ///
  /// with s the summary of earlier blocks. Which entries are largest is a constant of differentiation.
  func route(_ reduced: Tensor, _ routing: inout Routing, _ pass: Pass, _ t: Tensors) {
    let state = pooled(reduced, pass)
    let features = Tensor.joinedColumns([Routing.normalized(state), summary(routing, like: state, t)])
    var query = features.multiplied(byTransposeOf: t["query_proj"])
    if let prior = t.optional("instruction_query"), priorWeight > 0 { query = query.addingRow(prior * priorWeight) }
    let root = Double(keyWidth).squareRoot()
    let logits = query.multiplied(byTransposeOf: t["atom_keys"], scale: 1 / (root * temperature))
    let allowed = choices < atoms ? largest(of: logits, pass.now) : nil
    let weights = logits.softmax(allowed: allowed)
    routing.weights = granularity == .token ? weights : weights.gatherRows(pass.rows.owners)
    guard divergenceWeight > 0, let prior = t.optional("instruction_query") else { return }
    // The mean over rows and blocks of KL(α ‖ softmax of (W_e·e)·k_m/√d on the chosen atoms).
    let row = prior.reshaped([1, keyWidth]).multiplied(byTransposeOf: t["atom_keys"], scale: 1 / root).reshaped([atoms])
    let priorLogits = Tensor.zeros(logits.shape, logits.scalar).addingRow(row)
    let share = divergenceWeight / Double(logits.rows * routing.blockCount)
    pass.penalize(logits.divergence(from: priorLogits, allowed: allowed) * share)
  }

  /// s_b = Σ_j β_j·norm(c_j), β = softmax_j(w_b·norm(c_j)) over the states of earlier blocks; 0 for the first [T, rank].
  private func summary(_ routing: Routing, like state: Tensor, _ t: Tensors) -> Tensor {
    let earlier = routing.states(as: state.scalar)
    guard !earlier.isEmpty, routing.block > 0 else { return .zeros(state.shape, state.scalar) }
    let states = Tensor.joinedColumns(earlier)
    let attention = t["depth_query"].slice(rows: routing.block - 1..<routing.block)
    let scores = states.reshaped([state.rows * earlier.count, rank]).multiplied(byTransposeOf: attention)
    return states.weightedSlices(scores.reshaped([state.rows, earlier.count]).softmax())
  }

  /// Rows as routing sees them: as they are, or each sequence's mean over its flagged rows [sequences, rank].
  func pooled(_ rows: Tensor, _ pass: Pass) -> Tensor {
    guard granularity == .sequence else { return rows }
    var mean = [Double](repeating: 0, count: pass.rows.sequences.count * rows.rows)
    for (s, sequence) in pass.rows.sequences.enumerated() {
      let seen = sequence.filter { pass.flags?[$0] != false && pass.rows.visible?[$0] != 0 }
      for t in seen { mean[s * rows.rows + t] = 1 / Double(seen.count) }
    }
    return Tensor(mean, shape: [pass.rows.sequences.count, rows.rows], rows.scalar).multiplied(by: rows)
  }

  /// Flags for each row's `choices` largest entries; of equal ones the first.
  private func largest(of logits: Tensor, _ now: Moment) -> [Bool] {
    let (values, width) = (logits.values, logits.columns)
    var chosen: [Int32] = []
    chosen.reserveCapacity(logits.rows * choices)
    for start in stride(from: 0, to: values.count, by: width) {
      var left = Array(start..<start + width)
      for _ in 0..<choices {
        var best = 0
        for i in left.indices where values[left[i]] > values[left[best]] { best = i }
        chosen.append(Int32(left.remove(at: best)))
      }
    }
    var allowed = [Bool](repeating: false, count: values.count)
    for index in now.stop(chosen) { allowed[Int(index)] = true }
    return allowed
  }
}

/// The blocks that share a routing: consecutive sites of `layersPerBlock` layers, or single sites outside of layers.
struct RoutingBlocks {
  private(set) var index: [SiteID: Int] = [:]
  private(set) var count = 0

  init(_ sites: [Site], layersPerBlock: Int) {
    var group: Int?
    for site in sites {
      let own = site.layer.map { $0 / layersPerBlock }
      if own == nil || own != group || count == 0 { count += 1 }
      group = own
      index[site.id] = count - 1
    }
  }
}

/// What the sites of one pass hand on: the running block's routing, and the states of the blocks so far.
struct Routing: Note {
  private var blocks: RoutingBlocks?
  private var normalizedStates: [Tensor] = []
  /// The running block.
  private(set) var block = -1
  /// α [T, M] of the running block.
  var weights = Tensor.zeros([0])

  var tensors: [Tensor] {
    get { normalizedStates + [weights] }
    set { (normalizedStates, weights) = (newValue.dropLast(), newValue.last ?? weights) }
  }

  var blockCount: Int { blocks?.count ?? 1 }

  /// Notes that the pass has come to a site; true where that is the first of its block.
  mutating func enter(_ call: SiteCall, _ layersPerBlock: Int) -> Bool {
    let blocks = blocks ?? RoutingBlocks(call.pass.sites, layersPerBlock: layersPerBlock)
    self.blocks = blocks
    guard let next = blocks.index[call.site.id] else { preconditionFailure("\(call.site.id) is no site of this pass") }
    defer { block = next }
    return next != block
  }

  /// Keeps norm(c) of a block's routed state for later blocks, its gradient stopped at `stopping`.
  mutating func remember(_ state: Tensor, stopping now: Moment? = nil) {
    let normalized = Self.normalized(state)
    normalizedStates.append(now?.stop(normalized) ?? normalized)
  }

  /// norm(c_j) of the blocks so far.
  func states(as scalar: ScalarType) -> [Tensor] {
    normalizedStates.map { $0.scalar == scalar ? $0 : $0.converted(to: scalar) }
  }

  /// v/√(mean v² + 1e-6), row by row.
  static func normalized(_ rows: Tensor) -> Tensor {
    rows.rmsNorm(Tensor(repeating: 1, shape: [rows.columns], rows.scalar), eps: 1e-6)
  }
}

extension RowLayout {
  /// The sequence each row belongs to.
  fileprivate var owners: [Int32] {
    sequences.enumerated().flatMap { s, rows in repeatElement(Int32(s), count: rows.count) }
  }
}
