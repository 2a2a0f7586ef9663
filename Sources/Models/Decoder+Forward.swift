import Engine
import PEFTKernel

extension Decoder {
  func hidden(_ ids: [Int32], _ run: ModelRun) -> Tensor {
    let rows = run.pass.rows
    precondition(ids.count == rows.count, "\(ids.count) ids for \(rows.count) rows")
    let start = Int32(run.cache?.count ?? 0)
    let positions = start == 0 ? rows.positions : rows.positions.map { $0 + start }
    let angles = rotary?.angles(Int(positions.max() ?? 0) + 1, run.scalar)
    var x = embedded(ids, positions, run)
    for (index, layer) in layers.enumerated() {
      x = run.layer(x, isLast: index == layers.count - 1) { x, run in
        let x = x + attended(normed(x, layer.attentionNorm, run), index, positions, angles, run)
        return x + transformed(normed(x, layer.mlpNorm, run), index, run)
      }
    }
    run.cache?.advance(ids.count)
    return normed(x, finalNorm, run)
  }

  func embeddings(of ids: [Int32]) -> Tensor { embedding.table.gatherRows(ids, as: .float32) }

  func logits(_ hidden: Tensor, _ run: ModelRun) -> Tensor { apply(head, hidden, run) }

  private func embedded(_ ids: [Int32], _ places: [Int32], _ run: ModelRun) -> Tensor {
    func rows(_ table: (name: String, table: FrozenMatrix), _ indices: [Int32]) -> Tensor {
      let rows = run.trained[table.name]?.gatherRows(indices) ?? table.table.gatherRows(indices, as: run.scalar)
      guard let attachment = run.attachment, let site = tables.first(where: { $0.id.path + ".weight" == table.name }) else {
        return rows
      }
      return attachment.rows(at: site.id, indices, rows)
    }
    var x = rows(embedding, ids)
    if let positions { x = x + rows(positions, places) }
    return dropped(x, config.dropout.embedding, "embd", 0, run)
  }

  /// The attention branch of a layer: [T, hidden] → [T, hidden].
  private func attended(
    _ x: Tensor, _ index: Int, _ positions: [Int32], _ angles: RotaryTable.Angles?, _ run: ModelRun
  ) -> Tensor {
    let layer = layers[index]
    let width = config.headWidth
    var (q, k, v) = queriesKeysValues(x, layer, run)
    if let angles {
      q = q.rotary(angles.cosine, angles.sine, positions, width: width)
      k = k.rotary(angles.cosine, angles.sine, positions, width: width)
    }
    let shape = AttentionShape(
      heads: config.heads, groups: config.groups, width: width, scale: config.scoreScale(layer: index))
    let y: Tensor
    if let cache = run.cache {
      let (keys, values) = cache.append(layer: index, k, v)
      y = Tensor.cachedAttention(q, keys: keys, values: values, count: cache.count + k.rows, shape)
    } else {
      let p = run.pass.now.mode == .training ? config.dropout.attention : 0
      let dropout = p > 0 ? (p, run.pass.now.random("attn").stream(UInt64(index))) : nil
      y = Tensor.attention(q, k, v, run.pass.rows, shape, dropout: dropout)
    }
    return dropped(apply(layer.attentionOutput, y, run), config.dropout.residual, "resid", 2 * index, run)
  }

  private func queriesKeysValues(_ x: Tensor, _ layer: Layer, _ run: ModelRun) -> (Tensor, Tensor, Tensor) {
    let parts = layer.attention.map { apply($0, x, run) }
    guard config.isAttentionFused else { return (parts[0], parts[1], parts[2]) }
    let (queries, keys) = (config.heads * config.headWidth, config.groups * config.headWidth)
    let all = parts[0]
    return (
      all.slice(columns: 0..<queries), all.slice(columns: queries..<queries + keys),
      all.slice(columns: queries + keys..<queries + 2 * keys)
    )
  }

  /// The MLP branch of a layer: [T, hidden] → [T, hidden].
  private func transformed(_ x: Tensor, _ index: Int, _ run: ModelRun) -> Tensor {
    let layer = layers[index]
    let inner: Tensor
    if let gate = layer.gate {
      let opened = apply(gate, x, run)
      inner = Tensor.swiglu(gate: opened, up: apply(layer.up, x, run))
    } else {
      inner = apply(layer.up, x, run).geluTanh
    }
    return dropped(apply(layer.down, inner, run), config.dropout.residual, "resid", 2 * index + 1, run)
  }

  private func normed(_ x: Tensor, _ norm: Norm, _ run: ModelRun) -> Tensor {
    let gains = run.trained[norm.part.weight] ?? norm.gains.converted(to: run.scalar)
    guard let bias = norm.bias, let name = norm.part.bias else { return x.rmsNorm(gains, eps: config.normEpsilon) }
    return x.layerNorm(gains, run.trained[name] ?? bias.converted(to: run.scalar), eps: config.normEpsilon)
  }

  private func dropped(_ x: Tensor, _ p: Double, _ purpose: String, _ place: Int, _ run: ModelRun) -> Tensor {
    guard p > 0, run.pass.now.mode == .training else { return x }
    return x.dropout(p, run.pass.now.random(purpose).stream(UInt64(place)))
  }
}

// Sites.
extension Decoder {
  /// The output at a site, whatever stands there: every linear map of the model goes through here.
  private func apply(_ map: Map, _ x: Tensor, _ run: ModelRun) -> Tensor {
    var base = map.base(run)
    run.observeInput?(map.part.site.id, x)
    if let observe = run.observe { base = ObservedMap(base: base, id: map.part.site.id, observe: observe) }
    return run.attachment?.output(at: map.part.site.id, x, base, run.pass) ?? base(x)
  }
}

extension Decoder.Map {
  /// The map with its trained tensors in place of the file's.
  fileprivate func base(_ run: ModelRun) -> any BaseMap {
    if run.trained.isEmpty { return frozen }
    let bias = part.bias.flatMap { run.trained[$0] } ?? frozen.bias
    // A head that shares the table can be given a weight of its own.
    guard let weight = run.trained[part.site.id.path + ".weight"] ?? run.trained[part.weight] else {
      return FrozenMap(matrix: frozen.matrix, bias: bias)
    }
    return TensorMap(
      matrix: weight, bias: bias.map { $0.scalar == run.scalar ? $0 : $0.converted(to: run.scalar) },
      isTransposed: frozen.matrix.isTransposed)
  }
}

/// A base map that shows its input and the gradient of its output.
// Unchecked: the observer is called by the backward pass of the one caller a run belongs to.
private struct ObservedMap: BaseMap, @unchecked Sendable {
  let base: any BaseMap
  let id: SiteID
  let observe: (SiteID, Tensor, Tensor) -> Void

  func product(_ x: Tensor) -> Tensor {
    let seen = x.detached
    return base.product(x).observingGradient { [self] dy in observe(id, seen, dy) }
  }

  func weight(as scalar: ScalarType) -> Tensor { base.weight(as: scalar) }
  func rows(_ range: Range<Int>, as scalar: ScalarType) -> Tensor { base.rows(range, as: scalar) }
  var bias: Tensor? { base.bias }
  var isTransposed: Bool { base.isTransposed }
  var isQuantized: Bool { base.isQuantized }
}
