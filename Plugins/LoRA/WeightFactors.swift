import Blocks
import Engine
import PEFTKernel

/// Starts that take their factors from the weight's own decomposition.
struct WeightFactors: InitStrategy {
  enum Part: String, CaseIterable {
    /// A = R[:r], B = Q[:, :r] of W = Q·R; the base gives way by s·B·A. Not the best approximation of W, but B's columns are
    /// orthonormal.
    case olora
    /// B = the left singular vectors of the r smallest singular values, A = 0: only what the weight hardly does yet is written to.
    /// B is meant to stay: train `factor-a` alone.
    case mica
  }

  let part: Part

  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    for site in sites {
      guard projection is LowRank, let factors = layout.factors(at: site.id) else {
        throw Refusal(
          "start \(part.rawValue) sets low-rank factors, which \(site.id) does not have here", remedy: "use projection low-rank")
      }
      guard factors.pair != nil else {
        throw Refusal("start \(part.rawValue) does not go with a bias on B", remedy: "use bias: false")
      }
      let side = min(site.outputs, site.inputs)
      guard factors.rank <= side else {
        throw Refusal(
          "start \(part.rawValue) takes \(factors.rank) directions of \(site.id), which has \(side)",
          remedy: "use a rank of at most \(side)")
      }
      guard part == .mica || !site.isQuantized else {
        throw Refusal("start olora takes a part out of the weight, but \(site.id) is quantized", remedy: "use a float base")
      }
    }
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    var (tensors, offset) = (layout.filled(now), Tensors())
    for site in sites {
      guard let pair = layout.factors(at: site.id) else { continue }
      let (up, down) = try factors(of: evidence.weight(site.id), pair.rank)
      (tensors[pair.up.key], tensors[pair.down.key]) = (up, down)
      guard part == .olora else { continue }
      // In memory of their own: optimizers move the factors in place.
      (offset[pair.up.key], offset[pair.down.key]) = (up.copied(), down.copied())
    }
    return Start(tensors, offset: part == .olora ? offset : nil)
  }

  private func factors(of weight: Tensor, _ rank: Int) throws(Refusal) -> (up: Tensor, down: Tensor) {
    let weight = weight.converted(to: .float64)
    do {
      switch part {
      case .olora:
        let (q, r) = try LinearAlgebra.qr(weight)
        return (q.slice(columns: 0..<rank).converted(to: .float32), r.slice(rows: 0..<rank).converted(to: .float32))
      case .mica:
        let u = try LinearAlgebra.svd(weight).u
        return (u.slice(columns: u.columns - rank..<u.columns).converted(to: .float32), .zeros([rank, weight.columns]))
      }
    } catch {
      throw Refusal("\(error)")
    }
  }
}
