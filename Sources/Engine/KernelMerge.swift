import CKernels
import Synchronization

/// A matrix M [outputs, inputs] merged from two thin pairs of rows, A [2, inputs, q] and B [2, outputs, q], by distances
/// instead of products, which gives it full rank:
///
///     D[o, i] = c·(‖A₀[i] − B₀[o]‖ − ‖A₁[i] − B₁[o]‖),   M = D ∘ gate
///
/// M is never whole: it is made tile by tile wherever it is used, 2·q multiply-adds and two roots an entry, and made again
/// on the way back. Equal factors give equal bits each time.
public struct KernelMerge: Sendable {
  /// A and B, with history where they are trained.
  public let a: Tensor
  public let b: Tensor
  /// c.
  public let scale: Double
  /// Nil: M = D.
  public let gate: Gate?

  /// The factor |D| of the entries above a threshold, 0 for the others: a constant under differentiation.
  public struct Gate: Sendable {
    /// The factors that D is taken of here: those of the merge, or what they were when the gate was made.
    public let a: Tensor
    public let b: Tensor
    public let threshold: Double
    /// Whether the threshold is subtracted: max(|D| − t, 0).
    public let isSoft: Bool

    public init(a: Tensor, b: Tensor, threshold: Double, isSoft: Bool) {
      (self.a, self.b) = (a.detached, b.detached)
      self.threshold = threshold
      self.isSoft = isSoft
    }
  }

  public init(a: Tensor, b: Tensor, scale: Double, gate: Gate? = nil) {
    precondition(
      a.rank == 3 && b.rank == 3 && a.shape[0] == 2 && b.shape[0] == 2 && a.columns == b.columns && a.scalar == b.scalar,
      "a merge of \(a.shape) and \(b.shape)")
    (self.a, self.b) = (a, b)
    self.scale = scale
    self.gate = gate
  }

  public var outputs: Int { b.shape[1] }
  public var inputs: Int { a.shape[1] }

  /// M as one matrix, without history: for merging and analysis.
  public func dense() -> Tensor {
    let whole = Tensor(uninitialized: [outputs, inputs], a.scalar)
    let tiles = MergeTiles(self)
    for rows in tiles.rows { tiles.fill(whole.view(rows.lowerBound * inputs, [rows.count, inputs]), rows) }
    return whole
  }
}

extension Tensor {
  /// x·Mᵀ.
  public func multiplied(byTransposeOf merge: KernelMerge) -> Tensor { merged(merge, nil) }

  /// base + x·Mᵀ, written into base's memory where nobody else holds it.
  public func linear(_ merge: KernelMerge, addedTo base: consuming Tensor) -> Tensor {
    precondition(base.rows == rows && base.columns == merge.outputs && base.scalar == scalar, "\(shape), added to \(base.shape)")
    let baseNode = base.node
    base.node = nil
    var y = base
    if !y.isUnique { y = y.copied() }
    MergeTiles(merge).multiply(self, into: y, beta: 1)
    return recorded(y, merge, nil, baseNode)
  }

  /// x·(W + M)ᵀ in one product, for a frozen W that `base` gives in tiles of its rows, [range.count, inputs]. They are
  /// asked for again on the way back.
  public func linear(_ merge: KernelMerge, over base: @escaping @Sendable (Range<Int>) -> Tensor) -> Tensor {
    merged(merge, base)
  }

  private func merged(_ merge: KernelMerge, _ base: (@Sendable (Range<Int>) -> Tensor)?) -> Tensor {
    let y = Tensor(uninitialized: shape.dropLast() + [merge.outputs], scalar)
    MergeTiles(merge, over: base).multiply(self, into: y, beta: 0)
    return recorded(y, merge, base, nil)
  }

  /// `y` as the product of this and the merge, added to what came of `addend`.
  private func recorded(
    _ y: Tensor, _ merge: KernelMerge, _ base: (@Sendable (Range<Int>) -> Tensor)?, _ addend: Node?
  ) -> Tensor {
    let (x, kept) = (detached, KernelMerge(a: merge.a.detached, b: merge.b.detached, scale: merge.scale, gate: merge.gate))
    let (aNode, bNode) = (merge.a.node, merge.b.node)
    return y.recorded(from: [node, aNode, bNode, addend]) { [node] dy, gradients in
      let tiles = MergeTiles(kept, over: base)
      let found = tiles.differentiate(x, dy, wantsInput: node != nil, wantsFactors: aNode != nil || bNode != nil)
      if let dx = found.dx { gradients.add(node, dx) }
      if let (da, db) = found.factors {
        gradients.add(aNode, da)
        gradients.add(bNode, db)
      }
      gradients.add(addend, dy)
    }
  }
}
