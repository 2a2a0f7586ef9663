import Engine
import PEFTKernel

extension Encoder {
  /// Of token ids, sequences as the pass has them; token types are 0 where nil.
  func encode(_ ids: [Int32], types kinds: [Int32]?, _ text: EncoderConfig.Text, _ run: ModelRun) -> Encoding {
    let rows = run.pass.rows
    precondition(ids.count == rows.count, "\(ids.count) ids for \(rows.count) rows")
    precondition(kinds.map { $0.count == ids.count } ?? true, "\(kinds?.count ?? 0) token types for \(ids.count) ids")
    guard let tokens else { preconditionFailure("an encoder of texts has a table of tokens") }
    var x = tokens.rows(ids, run)
    if let types { x = x + types.rows(kinds ?? [Int32](repeating: 0, count: ids.count), run) }
    x = x + positions.rows(text.positions.of(ids, rows), run)
    let hidden = transformed(x, run)
    return Encoding(hidden: hidden, pooled: pooled(hidden, ids, run))
  }

  /// Of images [B, C, H, W], one sequence of the pass each.
  func encode(_ pixels: Tensor, _ image: EncoderConfig.Image, _ run: ModelRun) -> Encoding {
    let (rows, count) = (run.pass.rows, image.patchCount)
    precondition(
      pixels.shape == [rows.sequences.count, image.shape.channels, image.shape.height, image.shape.width]
        && rows.sequences.allSatisfy { $0.count == count + 1 }, "images \(pixels.shape) for \(rows.sequences.count) sequences")
    guard let patches, let classRow else { preconditionFailure("an encoder of images has a map of patches") }
    let states = patches(pixels.patches(height: image.patch.height, width: image.patch.width), run)
    let first = run.trained[classRow.name] ?? classRow.vector.converted(to: run.scalar)
    // The class row stands first of all, then the patches of every image in turn: rows are taken from there.
    let all = Tensor.joinedRows([first.reshaped([1, config.hiddenSize]), states])
    let order = rows.sequences.indices.flatMap { index -> [Int32] in
      [0] + (1...count).map { Int32(index * count + $0) }
    }
    let x = all.gatherRows(order) + positions.rows(rows.positions, run)
    let hidden = transformed(x, run)
    return Encoding(hidden: hidden, pooled: pooled(hidden, [], run))
  }

  /// Embeddings to hidden states [T, hidden].
  private func transformed(_ embeddings: Tensor, _ run: ModelRun) -> Tensor {
    var x = embeddingNorm?(embeddings, run) ?? embeddings
    x = dropped(x, "embd", 0, run)
    for (index, layer) in layers.enumerated() {
      x = run.layer(x, isLast: index == layers.count - 1) { x, run in
        switch config.normOrder {
        case .before:
          let x = x + attended(layer.attentionNorm(x, run), index, run)
          return x + inner(layer.mlpNorm(x, run), index, run)
        case .after:
          let x = layer.attentionNorm(x + attended(x, index, run), run)
          return layer.mlpNorm(x + inner(x, index, run), run)
        }
      }
    }
    return finalNorm?(x, run) ?? x
  }

  /// The attention branch of a layer: [T, hidden] → [T, hidden].
  private func attended(_ x: Tensor, _ index: Int, _ run: ModelRun) -> Tensor {
    let layer = layers[index]
    var shape = AttentionShape(
      heads: config.heads, groups: config.heads, width: config.headWidth, scale: 1 / Double(config.headWidth).squareRoot(),
      sight: config.isCausal ? .past : .whole)
    shape.fallback = .zeros
    let p = run.pass.now.mode == .training ? config.dropout.attention : 0
    let dropout = p > 0 ? (p, random("attn", index, run)) : nil
    let (q, k, v) = (layer.query(x, run), layer.key(x, run), layer.value(x, run))
    let y = Tensor.attention(q, k, v, run.pass.rows, shape, dropout: dropout)
    return dropped(layer.attentionOutput(y, run), "resid", 2 * index, run)
  }

  /// The MLP branch of a layer: [T, hidden] → [T, hidden].
  private func inner(_ x: Tensor, _ index: Int, _ run: ModelRun) -> Tensor {
    let layer = layers[index]
    return dropped(layer.down(config.activation(layer.up(x, run)), run), "resid", 2 * index + 1, run)
  }

  /// One row a sequence.
  private func pooled(_ hidden: Tensor, _ ids: [Int32], _ run: ModelRun) -> Tensor? {
    let sequences = run.pass.rows.sequences
    switch config.pooling {
    case .none: return nil
    case .dense(_, let activation):
      guard let pooler else { return nil }
      return run.pooled { activation(pooler(hidden.firstRows(of: sequences), $0)) }
    case .first:
      let rows = hidden.firstRows(of: sequences)
      return pooledNorm?(rows, run) ?? rows
    case .endOfText(let end):
      return hidden.gatherRows(sequences.map { Int32(Self.end(of: ids[$0], end)) })
    }
  }

  /// Where a text ends: at the first `end` in it, at its first token where there is none; at its largest id where `end` is nil.
  private static func end(of ids: ArraySlice<Int32>, _ end: Int32?) -> Int {
    guard let end else { return ids.indices.max { (ids[$0], $1) < (ids[$1], $0) } ?? ids.startIndex }
    return ids.firstIndex(of: end) ?? ids.startIndex
  }

  private func dropped(_ x: Tensor, _ purpose: String, _ place: Int, _ run: ModelRun) -> Tensor {
    guard config.dropout.hidden > 0, run.pass.now.mode == .training else { return x }
    return x.dropout(config.dropout.hidden, random(purpose, place, run))
  }

  /// Encoders of one model draw apart.
  private func random(_ purpose: String, _ place: Int, _ run: ModelRun) -> Philox {
    run.pass.now.random(config.names.prefix + purpose).stream(UInt64(place))
  }
}

extension EncoderConfig.Text.Positions {
  /// The position of every id.
  func of(_ ids: [Int32], _ rows: RowLayout) -> [Int32] {
    guard case .behindPadding(let padding) = self else { return rows.positions }
    return rows.sequences.flatMap { sequence in
      var next = padding
      return ids[sequence].map { id in
        if id == padding { return padding }
        next += 1
        return next
      }
    }
  }
}

extension Tensor {
  /// The first row of every sequence.
  func firstRows(of sequences: [Range<Int>]) -> Tensor { gatherRows(sequences.map { Int32($0.lowerBound) }) }
}
