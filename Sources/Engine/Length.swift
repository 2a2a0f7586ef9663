extension Tensor {
  /// √Σ x² of all entries, a scalar [1]. At 0, where it has a corner, its gradient is taken as 0.
  public var length: Tensor {
    let length = sumOfSquares.squareRoot()
    let kept = detached
    return Tensor([length], shape: [1], scalar).recorded([self]) { [node] dy, gradients in
      gradients.add(node, kept.scaled(by: length > 0 ? dy.item / length : 0))
    }
  }

  /// ‖A·B‖_F = √tr((AᵀA)·(BBᵀ)) for A [m, r], B [r, n], a scalar [1]: from r × r matrices in double, without A·B. At 0 its
  /// gradient is taken as 0.
  public func productLength(_ other: Tensor) -> Tensor {
    precondition(columns == other.rows && scalar == other.scalar, "product of \(shape) and \(other.shape)")
    let (a, b) = (detached, other.detached)
    let (a64, b64) = (a.converted(to: .float64), b.converted(to: .float64))
    let left = a64.transposed.multiplied(by: a64)
    let right = b64.multiplied(byTransposeOf: b64)
    let length = max(0, (left * right).sum.item).squareRoot()
    return Tensor([length], shape: [1], scalar).recorded([self, other]) { [aNode = node, bNode = other.node] dy, gradients in
      let factor = length > 0 ? dy.item / length : 0
      // d‖AB‖ = ⟨A·(BBᵀ), dA⟩/‖AB‖ + ⟨(AᵀA)·B, dB⟩/‖AB‖.
      gradients.add(aNode, a.converted(to: .float64).multiplied(by: right).scaled(by: factor).converted(to: a.scalar))
      gradients.add(bNode, left.multiplied(by: b.converted(to: .float64)).scaled(by: factor).converted(to: b.scalar))
    }
  }
}
