import Engine
import PEFTKernel

/// n_i = ‖(W + s·B·A)_i‖ for every row i, without B·A [arXiv:2603.22276, factored norms]:
///
///     n² = base + 2s·cross + s²·gram,   base_i = Σ_j W_ij²,  cross_i = Σ_k B_ik·U_ik,  gram_i = Σ_k (B·K)_ik·B_ik
///
/// with U = W·Aᵀ [out, r] and K = A·Aᵀ [r, r]. 2·out·in·r flops; memory for U, or for a share of its columns.
struct RowLengths {
  let base: Tensor
  /// ⟨W_i, (B·A)_i⟩.
  let cross: Tensor
  /// ‖(B·A)_i‖².
  let gram: Tensor
  /// n [out], 0 where rounding makes its square negative.
  let value: Tensor

  /// The tape follows `up` B [out, r] and `down` A [r, in] where they have history; W is a constant. `chunk` bytes bound
  /// what U and B·K take.
  init(of map: any BaseMap, up: Tensor, down: Tensor, scale: Double, chunk: Int = 256 << 20) {
    let (outputs, rank) = (up.rows, up.columns)
    var (cross, gram) = (Tensor.zeros([outputs], up.scalar), Tensor.zeros([outputs], up.scalar))
    if scale != 0 {
      let width = max(1, chunk / (2 * outputs * up.scalar.byteCount))
      for start in stride(from: 0, to: rank, by: width) {
        let columns = start..<min(rank, start + width)
        let (b, a) = (up.slice(columns: columns), down.slice(rows: columns))
        // The base's product with rows of A as inputs is Uᵀ, whatever W is stored as; its tape gives dA = dUᵀ·W.
        cross = cross + (b * map.product(a).transposed).rowSums
        gram = gram + (b * up.multiplied(by: down.multiplied(byTransposeOf: a))).rowSums
      }
    }
    base = Self.energies(outputs, down.columns, up.scalar) { map.rows($0, as: up.scalar) }
    (self.cross, self.gram) = (cross, gram)
    value = (base + cross * (2 * scale) + gram * (scale * scale)).squareRoot
  }

  /// n from rows of W + s·B·A themselves, some at a time: cheaper where the terms that are quadratic in the rank outgrow W.
  static func dense(of map: any BaseMap, up: Tensor, down: Tensor, scale: Double) -> Tensor {
    let (b, a) = (up.detached, down.detached)
    return energies(up.rows, down.columns, up.scalar) { rows in
      map.rows(rows, as: b.scalar) + b.slice(rows: rows).multiplied(by: a) * scale
    }.squareRoot
  }

  static func prefersDense(rank: Int, outputs: Int, inputs: Int) -> Bool { rank * (outputs + inputs) > outputs * inputs }

  /// Σ of squares of every row, about a megabyte of rows at a time.
  private static func energies(
    _ outputs: Int, _ inputs: Int, _ scalar: ScalarType, _ tile: (Range<Int>) -> Tensor
  ) -> Tensor {
    let height = max(16, (1 << 20) / (inputs * scalar.byteCount))
    return .joinedRows(
      stride(from: 0, to: outputs, by: height).map { tile($0..<min(outputs, $0 + height)).rowEnergies })
  }
}

extension Tensor {
  /// Σ over columns [rows].
  fileprivate var rowSums: Tensor {
    multiplied(byTransposeOf: Tensor(repeating: 1, shape: [1, columns], scalar)).reshaped([rows])
  }
}
