import Engine
import PEFTKernel

/// Makes a weight's largest magnitudes smaller while its outputs stay: what follows then quantizes with a finer grid.
///
/// MagR, "Weight Magnitude Reduction for Enhancing Post-Training Quantization" [arXiv:2406.00800]:
///
///     min_V ½‖(V − W)·Xᵀ‖² / σ_max(X)² + α Σ_{rows, groups} ‖V_{row, group}‖_∞
///
/// by `iterations` proximal steps; the proximal map of the maximum norm cuts a group at one height. 2·out·in² flops each.
public struct MagR: Sendable, Hashable {
  /// Nil: 1e-5, or 1e-3 where a group is a whole row.
  public var alpha: Double?
  public var iterations: Int

  public init(alpha: Double? = nil, iterations: Int = 200) throws(Refusal) {
    if let alpha, !(alpha > 0 && alpha.isFinite) {
      throw Refusal("magr_alpha is \(alpha), but must be above 0", remedy: "use 1e-5, or 1e-3 for groups of a whole row")
    }
    guard iterations >= 0 else { throw Refusal("magr_iters is \(iterations), but must be at least 0", remedy: "use 200") }
    self.alpha = alpha
    self.iterations = iterations
  }

  /// V [outputs, inputs] in double, for a W in double.
  public func reduced(_ weight: Tensor, gram: Tensor, groupSize: Int) throws(Refusal) -> Tensor {
    let largest: Double
    do { largest = try LinearAlgebra.largestEigenvalue(gram) } catch { throw Refusal("MagR: \(error)") }
    guard largest > 0, iterations > 0 else { return weight }
    let map = gram.converted(to: .float64) * (1 / largest)
    let alpha = alpha ?? (groupSize == weight.columns ? 1e-3 : 1e-5)
    var v = weight
    for _ in 0..<iterations {
      let y = v - (v - weight).multiplied(by: map)
      y.withMutableDoubles { values in
        for start in stride(from: 0, to: y.count, by: groupSize) { Self.cut(values + start, groupSize, alpha) }
      }
      v = y
    }
    return v
  }

  /// y − α·P(y/α), P the projection on the unit ball of the sum norm: entries are cut at the height that takes α off them in all.
  private static func cut(_ y: UnsafeMutablePointer<Double>, _ count: Int, _ alpha: Double) {
    var (sum, active) = (0.0, count)
    for i in 0..<count { sum += abs(y[i]) }
    guard sum >= alpha else {
      for i in 0..<count { y[i] = 0 }
      return
    }
    // The height over those that reach it: it only rises, so that those below it drop out for good.
    var height = (sum - alpha) / Double(count)
    while true {
      var (above, total) = (0, 0.0)
      for i in 0..<count where abs(y[i]) > height {
        above += 1
        total += abs(y[i])
      }
      if above == active || above == 0 { break }
      active = above
      height = (total - alpha) / Double(above)
    }
    for i in 0..<count where abs(y[i]) > height { y[i] = y[i] < 0 ? -height : height }
  }
}
