import Engine
import PEFTKernel

extension Decoder {
  func hidden(_ ids: [Int32], _ run: ModelRun) -> Tensor {
    let rows = run.pass.rows
    precondition(ids.count == rows.count, "\(ids.count) ids for \(rows.count) rows")
    let start = run.cache?.count ?? 0
    let angles = rotaries.map { $0.angles(rows, after: start, run.scalar) }
    var x = embedded(ids, start, run)
    for (index, layer) in layers.enumerated() {
      x = run.layer(x, isLast: index == layers.count - 1) { x, run in
        let attended = attended(normed(x, layer.attentionNorm, run), index, layer.rotary.map { angles[$0] }, run)
        let x = x + normed(attended, layer.attentionOutputNorm, run)
        let transformed = transformed(normed(x, layer.mlpNorm, run), index, run)
        return x + normed(transformed, layer.mlpOutputNorm, run)
      }
    }
    run.cache?.advance(ids.count)
    return normed(x, finalNorm, run)
  }

  func embeddings(of ids: [Int32]) -> Tensor { embedding.table.gatherRows(ids, as: .float32) }

  func logits(_ hidden: Tensor, _ run: ModelRun) -> Tensor {
    let logits = apply(head, hidden, run)
    return config.logitCap.map { logits.softCapped($0) } ?? logits
  }

  private func embedded(_ ids: [Int32], _ start: Int, _ run: ModelRun) -> Tensor {
    func rows(_ table: (name: String, table: FrozenMatrix), _ indices: [Int32]) -> Tensor {
      let rows = run.trained[table.name]?.gatherRows(indices) ?? table.table.gatherRows(indices, as: run.scalar)
      guard let attachment = run.attachment, let site = tables.first(where: { $0.id.path + ".weight" == table.name }) else {
        return rows
      }
      return attachment.rows(at: site.id, indices, rows)
    }
    var x = rows(embedding, ids)
    if let embeddingScale { x = x * embeddingScale }
    if let positions { x = x + rows(positions, run.pass.rows.positions.map { $0 + Int32(start) }) }
    return dropped(x, config.dropout.embedding, "embd", 0, run)
  }

  /// The attention branch of a layer: [T, hidden] → [T, hidden].
  private func attended(
    _ x: Tensor, _ index: Int, _ angles: RotaryTable.Angles?, _ run: ModelRun
  ) -> Tensor {
    let layer = layers[index]
    var (q, k, v) = queriesKeysValues(x, layer, run)
    (q, k) = (normedByHead(q, layer.queryNorm, run), normedByHead(k, layer.keyNorm, run))
    if let angles {
      q = q.rotary(angles.cosine, angles.sine, angles.places, width: config.headWidth)
      k = k.rotary(angles.cosine, angles.sine, angles.places, width: config.headWidth)
    }
    let y: Tensor
    if let cache = run.cache {
      let (keys, values) = cache.append(layer: index, k, v)
      y = Tensor.cachedAttention(q, keys: keys, values: values, count: cache.count + k.rows, layer.shape)
    } else {
      let p = run.pass.now.mode == .training ? config.dropout.attention : 0
      let dropout = p > 0 ? (p, run.pass.now.random("attn").stream(UInt64(index))) : nil
      y = Tensor.attention(q, k, v, run.pass.rows, layer.shape, dropout: dropout)
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
    let gate = layer.gate.map { apply($0, x, run) }
    let up = apply(layer.up, x, run)
    let inner =
      switch (config.mlp, gate) {
      case (.gated(let activation), let gate?): activation(gate: gate, up: up)
      case (.gated(let activation), nil), (.plain(let activation), _): activation(up)
      }
    return dropped(apply(layer.down, inner, run), config.dropout.residual, "resid", 2 * index + 1, run)
  }

  private func normed(_ x: Tensor, _ norm: Norm?, _ run: ModelRun) -> Tensor {
    guard let norm else { return x }
    var gains = run.trained[norm.part.weight] ?? norm.gains.converted(to: run.scalar)
    if config.gainOffset != 0 { gains = gains + Tensor(repeating: config.gainOffset, shape: gains.shape, run.scalar) }
    guard let bias = norm.bias, let name = norm.part.bias else { return x.rmsNorm(gains, eps: config.normEpsilon) }
    return x.layerNorm(gains, run.trained[name] ?? bias.converted(to: run.scalar), eps: config.normEpsilon)
  }

  /// Every head by itself: x [T, heads · headWidth].
  private func normedByHead(_ x: Tensor, _ norm: Norm?, _ run: ModelRun) -> Tensor {
    guard let norm else { return x }
    return normed(x.reshaped([x.count / config.headWidth, config.headWidth]), norm, run).reshaped(x.shape)
  }

  private func dropped(_ x: Tensor, _ p: Double, _ purpose: String, _ place: Int, _ run: ModelRun) -> Tensor {
    guard p > 0, run.pass.now.mode == .training else { return x }
    return x.dropout(p, run.pass.now.random(purpose).stream(UInt64(place)))
  }

  private func apply(_ map: Map, _ x: Tensor, _ run: ModelRun) -> Tensor { map(x, run) }
}
