import Engine
import PEFTKernel

/// Codes one column at a time, each to the minimiser of ‖(W − Ŵ)·Xᵀ‖² + λ‖W − Ŵ‖² with all others as they are,
/// λ = ¾·mean(diag C). Grids stay. The sum never grows.
///
/// What vantaa89/qwha runs after GPTQ. With S = C + λ·I, the target of column j is W[:, j] + Σ_{k≠j} (W − Ŵ)[:, k]·S_kj/S_jj.
struct CoordinateDescent {
  /// S [inputs, inputs].
  private let metric: Tensor

  init(gram: Tensor) {
    metric = gram.copied()
    let n = gram.rows
    metric.withMutableDoubles { values in
      let mean = (0..<n).reduce(0) { $0 + values[$1 * n + $1] } / Double(n)
      for j in 0..<n { values[j * n + j] += 0.75 * mean }
    }
  }

  /// One pass over the columns [inputs, outputs] of W.
  func pass(over codes: inout ColumnCodes, of columns: Tensor, _ grid: IntegerGrid) {
    let (inputs, outputs) = (columns.rows, columns.columns)
    let left = columns.copied()
    left.withMutableDoubles { values in
      for j in 0..<inputs { for o in 0..<outputs { values[j * outputs + o] -= codes.value(j, o) } }
    }
    let width = GPTQ.blockWidth
    // How much each column of a block changed, for those after it in the block.
    let moved = Tensor.zeros([min(width, inputs), outputs], .float64)
    for start in stride(from: 0, to: inputs, by: width) {
      let end = min(start + width, inputs)
      // S symmetric: its rows are its columns.
      let pulls = metric.slice(rows: start..<end).multiplied(by: left)
      for j in start..<end {
        let pivot = metric.withDoubles { $0[j * inputs + j] }
        // No input at all: every code is as good as any other.
        guard pivot > 0 else { continue }
        let pull = pulls.slice(rows: j - start..<j - start + 1)
        if j > start {
          let factors = metric.slice(rows: start..<j).slice(columns: j..<j + 1)
          pull.accumulateProduct(transposed: factors, moved.slice(rows: 0..<j - start))
        }
        pull.withMutableDoubles { pull in
          left.withMutableDoubles { left in
            moved.withMutableDoubles { moved in
              let (left, moved) = (left + j * outputs, moved + (j - start) * outputs)
              columns.withDoubles { values in
                for o in 0..<outputs { pull[o] = values[j * outputs + o] + (pull[o] - pivot * left[o]) / pivot }
                codes.round(j, pull, grid) { o, _, coded in
                  let now = values[j * outputs + o] - coded
                  moved[o] = now - left[o]
                  left[o] = now
                }
              }
            }
          }
        }
      }
    }
  }
}
