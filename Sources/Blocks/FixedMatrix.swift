import Engine
import PEFTKernel

/// A dense factor that is never trained, scale · M or scale · Mᵀ: sites that read one input share its product.
public struct FixedMatrix: LinearMap {
  public enum Side: Sendable, Hashable {
    /// x ↦ x·Mᵀ.
    case rows
    /// x ↦ x·M.
    case columns
  }

  /// M, which may be held as it is for both ways.
  public let values: Tensor
  public let side: Side
  public let scale: Double
  public let share: String?

  /// `share` names the matrix among all that may be applied to one input; nil where it is one site's own.
  public init(_ values: Tensor, _ side: Side = .rows, scale: Double = 1, share: String? = nil) {
    self.values = values
    self.side = side
    self.scale = scale
    self.share = share.map { "\($0) \(side) \(scale) \(values.shape)" }
  }

  public var outputs: Int { side == .rows ? values.rows : values.columns }
  public var inputs: Int { side == .rows ? values.columns : values.rows }

  public func apply(_ x: Tensor) -> Tensor {
    guard side == .columns else { return x.multiplied(byTransposeOf: values, scale: scale) }
    let y = x.multiplied(by: values)
    return scale == 1 ? y : y * scale
  }

  public func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor { added(x, base, scale) }

  public func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor { added(x, base, -scale) }

  private func added(_ x: Tensor, _ base: consuming Tensor, _ scale: Double) -> Tensor {
    guard side == .columns else { return x.linear(values, scale: scale, addedTo: base) }
    return base + x.multiplied(by: values) * scale
  }

  public func dense() -> Tensor {
    let matrix = scaled.matrix
    return scale == 1 ? matrix : matrix * scale
  }

  public func multiplied(from left: Tensor) -> Tensor {
    let product = side == .rows ? left.multiplied(by: values) : left.multiplied(byTransposeOf: values)
    return scale == 1 ? product : product * scale
  }

  public var scaled: (factor: Double, matrix: Tensor) { (scale, side == .rows ? values : values.transposed) }
}

/// diag(d)·M with a trained length d [outputs] for every row of a matrix that is not trained.
public struct ScaledRows: LinearMap {
  /// M [outputs, inputs].
  public let values: Tensor
  /// d.
  public let lengths: Tensor

  public init(_ values: Tensor, lengths: Tensor) {
    self.values = values
    self.lengths = lengths
  }

  public var outputs: Int { values.rows }
  public var inputs: Int { values.columns }
  public func apply(_ x: Tensor) -> Tensor { x.multiplied(byTransposeOf: values).multipliedByRow(lengths) }
  public func dense() -> Tensor { values.multipliedByColumn(lengths) }
}
