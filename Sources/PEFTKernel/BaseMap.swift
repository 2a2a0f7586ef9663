import Engine

/// The map a model applies at a site, as an adapter sees it. The shared base is never changed.
public protocol BaseMap: Sendable {
  /// x [T, inputs] ↦ x·Wᵀ [T, outputs], without bias.
  func product(_ x: Tensor) -> Tensor
  /// b [outputs].
  var bias: Tensor? { get }
  /// W [outputs, inputs], whole.
  func weight(as scalar: ScalarType) -> Tensor
  /// Rows `range` of W, [range.count, inputs]: for those who want a tile at a time and never the whole.
  func rows(_ range: Range<Int>, as scalar: ScalarType) -> Tensor
  /// Whether files hold Wᵀ [inputs, outputs] (GPT-2 stores its maps so).
  var isTransposed: Bool { get }
  /// Whether W is held in a few bits a number.
  var isQuantized: Bool { get }
}

extension BaseMap {
  public var isTransposed: Bool { false }
  public var isQuantized: Bool { false }

  /// x [T, inputs] ↦ x·Wᵀ + b [T, outputs].
  public func callAsFunction(_ x: Tensor) -> Tensor { withBias(product(x)) }

  /// y + b for a product y [T, outputs].
  public func withBias(_ y: Tensor) -> Tensor {
    guard let bias else { return y }
    // Conversion would cut off a trained bias, which is in y's scalar already.
    return y.addingRow(bias.scalar == y.scalar ? bias : bias.converted(to: y.scalar))
  }

  public func rows(_ range: Range<Int>, as scalar: ScalarType) -> Tensor { weight(as: scalar).slice(rows: range) }
}

/// The bases of some sites, asked for one at a time.
public struct Bases: Sendable {
  private let map: @Sendable (SiteID) -> any BaseMap

  public init(_ map: @escaping @Sendable (SiteID) -> any BaseMap) { self.map = map }

  /// Bases in memory: W [outputs, inputs] and b by site. A site without a weight has an empty one.
  public init(weights: [SiteID: Tensor], biases: [SiteID: Tensor] = [:]) {
    self.init { FrozenMap(matrix: FrozenMatrix(weights[$0] ?? .zeros([0, 0])), bias: biases[$0]) }
  }

  public subscript(site: SiteID) -> any BaseMap { map(site) }
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

  public func product(_ x: Tensor) -> Tensor { Phase.base.spent { x.linear(matrix) } }

  public func weight(as scalar: ScalarType) -> Tensor { matrix.dense(as: scalar) }

  public func rows(_ range: Range<Int>, as scalar: ScalarType) -> Tensor { matrix.dense(rows: range, as: scalar) }

  public var isTransposed: Bool { matrix.isTransposed }
  public var isQuantized: Bool { matrix.isQuantized }
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

  public func product(_ x: Tensor) -> Tensor {
    Phase.base.spent { isTransposed ? x.multiplied(by: matrix) : x.linear(matrix) }
  }

  public func weight(as scalar: ScalarType) -> Tensor {
    (isTransposed ? matrix.detached.transposed : matrix).converted(to: scalar)
  }

  public func rows(_ range: Range<Int>, as scalar: ScalarType) -> Tensor {
    let rows = isTransposed ? matrix.detached.slice(columns: range).transposed : matrix.detached.slice(rows: range)
    return rows.converted(to: scalar)
  }
}

/// A base from which a change is taken away: what a method that starts off the base calls its frozen weight.
struct OffsetMap: BaseMap {
  let base: any BaseMap
  let offset: WeightChange

  func product(_ x: Tensor) -> Tensor { offset.subtracted(from: base.product(x), x) }

  func weight(as scalar: ScalarType) -> Tensor {
    let weight = base.weight(as: scalar)
    return weight - offset.dense(on: weight)
  }

  func rows(_ range: Range<Int>, as scalar: ScalarType) -> Tensor {
    offset.chains.reduce(base.rows(range, as: scalar)) { rows, chain in
      guard let first = chain.first else { return rows }
      let part = first.dense().detached.slice(rows: range)
      return rows - chain.dropFirst().reduce(part) { $0.multiplied(by: $1.dense()) }.converted(to: scalar)
    }
  }

  var bias: Tensor? {
    guard let taken = offset.bias else { return base.bias }
    return base.bias.map { $0 - taken } ?? taken * -1
  }

  var isTransposed: Bool { base.isTransposed }
  var isQuantized: Bool { base.isQuantized }
}
