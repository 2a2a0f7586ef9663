import Blocks
import Engine
import PEFTKernel

/// The subspace that one weight's gradient is projected on: P [out, r] from the left, Q [r, in] from the right, or both.
struct Projector {
  var left: Tensor?
  var right: Tensor?

  /// From the leading singular vectors of G. A weight held as its transpose swaps the sides, so that `std` is the same side of the
  /// map however it is held.
  init(_ gradient: Tensor, rank: Int, _ side: GaLore.Side, isTransposed: Bool, seed: UInt64) throws(Refusal) {
    let spectrum = try Spectral.leading(rank, of: gradient, Philox(key: seed).stream("galore"))
    let isTall = isTransposed ? gradient.columns >= gradient.rows : gradient.rows >= gradient.columns
    let (projectsRight, projectsLeft) =
      switch side {
      case .std: (isTall, !isTall)
      case .reverse_std: (!isTall, isTall)
      case .right: (true, false)
      case .left: (false, true)
      case .full: (true, true)
      }
    if isTransposed ? projectsLeft : projectsRight { right = spectrum.v.copied() }
    if isTransposed ? projectsRight : projectsLeft { left = spectrum.u.copied() }
  }

  init(left: Tensor?, right: Tensor?) {
    self.left = left
    self.right = right
  }

  /// N = Pᵀ·G·Qᵀ, with what there is of P and Q.
  func down(_ gradient: Tensor) -> Tensor {
    let rows = left.map { $0.transposed.multiplied(by: gradient) } ?? gradient
    return right.map { rows.multiplied(byTransposeOf: $0) } ?? rows
  }

  /// W += factor·P·D·Q, never formed apart.
  func add(_ direction: Tensor, times factor: Double, to weight: Tensor) {
    switch (left, right) {
    case (let left?, let right?):
      weight.accumulateProduct(transposed: left.transposed, direction.multiplied(by: right), scale: factor)
    case (let left?, nil): weight.accumulateProduct(transposed: left.transposed, direction, scale: factor)
    case (nil, let right?): weight.accumulateProduct(transposed: direction.transposed, right, scale: factor)
    case (nil, nil): weight.accumulate(direction, scale: factor)
    }
  }
}
