import Engine
import PEFTKernel

/// s·V·U, or its transpose.
///
/// By its factors a token costs r·N·(m + M) multiplications, by the product formed m·M: for so many tokens as a training step has the
/// product is formed first, in forward and again in backward, and let go each time.
struct RandomProduct: LinearMap {
  enum Side { case rows, columns }

  /// V [M, r·N].
  let columns: Tensor
  let rows: ScaledBasis
  let scale: Double
  /// Whether the map is the product or its transpose.
  let side: Side

  private var larger: Int { columns.rows }
  private var smaller: Int { rows.gamma.columns }
  private var parts: [Tensor] { [rows.lambda, rows.gamma] }

  var outputs: Int { side == .rows ? larger : smaller }
  var inputs: Int { side == .rows ? smaller : larger }

  func apply(_ x: Tensor) -> Tensor {
    switch side {
    case .rows where x.rows > smaller: return x.linear(formed, of: parts)
    case .columns where x.rows > smaller: return x.multiplied(by: formed, of: parts)
    case .rows: return x.linear(rows.matrix, of: parts).multiplied(byTransposeOf: columns, scale: scale)
    case .columns: return x.multiplied(by: columns).multiplied(by: rows.matrix, of: parts) * scale
    }
  }

  func dense() -> Tensor {
    let product = formed.dense(of: parts)
    return side == .rows ? product : product.transposed
  }

  private var formed: MadeRows {
    let (columns, factor, scale) = (columns.detached, rows.matrix, scale)
    return MadeRows(columns: smaller, blocks: [0..<larger]) { _, parts in
      columns.multiplied(by: factor.dense(of: parts)) * scale
    }
  }
}

/// U: made of A, λ and γ in blocks of rows.
struct ScaledBasis: Sendable {
  /// A [r, m].
  let directions: Tensor
  /// λ [r, N] and γ [N, m].
  let lambda: Tensor
  let gamma: Tensor
  /// The order of the rows: by k and then b, or by b and then k.
  let pairing: RandomBases.Pairing

  /// About so many rows make a product worth while.
  private static let height = 64

  var matrix: MadeRows {
    let (rank, count, directions, pairing) = (lambda.rows, lambda.columns, directions.detached, pairing)
    let (outer, inner) = pairing == .flat ? (rank, count) : (count, rank)
    return MadeRows(columns: gamma.columns, blocks: Self.blocks(outer, inner)) { block, parts in
      let (lambda, gamma) = (parts[0], parts[1])
      func row(_ i: Int, of matrix: Tensor) -> Tensor { matrix.slice(rows: i..<i + 1).reshaped([matrix.columns]) }
      let rows = (block.lowerBound / inner...(block.upperBound - 1) / inner).map { i in
        let some = max(block.lowerBound, i * inner) - i * inner..<min(block.upperBound, (i + 1) * inner) - i * inner
        func part(of matrix: Tensor) -> Tensor { some.count == inner ? matrix : matrix.slice(rows: some) }
        switch pairing {
        case .flat:
          return part(of: gamma).multipliedByRow(row(i, of: directions)).multipliedByColumn(part(of: row(i, of: lambda)))
        case .basis:
          let scales = lambda.slice(columns: i..<i + 1).reshaped([rank])
          return part(of: directions).multipliedByRow(row(i, of: gamma)).multipliedByColumn(part(of: scales))
        }
      }
      return rows.count == 1 ? rows[0] : .joinedRows(rows)
    }
  }

  /// Of `outer` groups of `inner` rows all rows of some, or some rows of one.
  private static func blocks(_ outer: Int, _ inner: Int) -> [Range<Int>] {
    guard inner > height else {
      let step = height / inner
      return stride(from: 0, to: outer, by: step).map { $0 * inner..<min(outer, $0 + step) * inner }
    }
    return (0..<outer).flatMap { i in
      stride(from: 0, to: inner, by: height).map { i * inner + $0..<i * inner + min(inner, $0 + height) }
    }
  }
}
