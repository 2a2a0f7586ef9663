import Engine

/// The map a model applies at a site, as an adapter sees it. The shared base is never changed.
public protocol BaseMap: Sendable {
  /// x [T, inputs] ↦ x·Wᵀ + b [T, outputs].
  func callAsFunction(_ x: Tensor) -> Tensor
  /// W [outputs, inputs], whole.
  func weight(as scalar: ScalarType) -> Tensor
  /// b [outputs].
  var bias: Tensor? { get }
  /// Whether files hold Wᵀ [inputs, outputs] (GPT-2 stores its maps so).
  var isTransposed: Bool { get }
}

extension BaseMap {
  public var isTransposed: Bool { false }
}

/// x·Wᵀ + b with a frozen W in its file's format.
public struct FrozenMap: BaseMap {
  public let matrix: FrozenMatrix
  /// May itself be trained.
  public let bias: Tensor?

  public init(matrix: FrozenMatrix, bias: Tensor? = nil) {
    self.matrix = matrix
    self.bias = bias
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    // Conversion would cut off a trained bias, which is in x's scalar already.
    x.linear(matrix, bias: bias.map { $0.scalar == x.scalar ? $0 : $0.converted(to: x.scalar) })
  }

  public func weight(as scalar: ScalarType) -> Tensor { matrix.dense(as: scalar) }

  public var isTransposed: Bool { matrix.isTransposed }
}

/// x·Wᵀ + b with W and b that may themselves be trained.
public struct TensorMap: BaseMap {
  public let matrix: Tensor
  public let bias: Tensor?
  /// Whether `matrix` holds the transpose, [inputs, outputs] (GPT-2 stores its maps so).
  public let isTransposed: Bool

  public init(matrix: Tensor, bias: Tensor? = nil, isTransposed: Bool = false) {
    self.matrix = matrix
    self.bias = bias
    self.isTransposed = isTransposed
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard isTransposed else { return x.linear(matrix, bias: bias) }
    let y = x.multiplied(by: matrix)
    return bias.map { y.addingRow($0) } ?? y
  }

  public func weight(as scalar: ScalarType) -> Tensor {
    (isTransposed ? matrix.detached.transposed : matrix).converted(to: scalar)
  }
}

/// A base from which a change is taken away: what a method that starts off the base calls its frozen weight.
struct OffsetMap: BaseMap {
  let base: any BaseMap
  let offset: WeightChange

  func callAsFunction(_ x: Tensor) -> Tensor { offset.subtracted(from: base(x), x) }

  func weight(as scalar: ScalarType) -> Tensor {
    let weight = base.weight(as: scalar)
    return weight - offset.dense(like: weight)
  }

  var bias: Tensor? {
    guard let taken = offset.bias else { return base.bias }
    return base.bias.map { $0 - taken } ?? taken * -1
  }

  var isTransposed: Bool { base.isTransposed }
}
