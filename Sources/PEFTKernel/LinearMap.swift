import Engine

/// A linear map that is a factor of an update: applied, never formed in training. Gradients follow from its operations.
public protocol LinearMap: Sendable {
  var outputs: Int { get }
  var inputs: Int { get }
  /// x [T, inputs] ↦ [T, outputs].
  func apply(_ x: Tensor) -> Tensor
  /// base + apply(x), in base's memory where that can be done.
  func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor
  /// The same with the opposite sign.
  func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor
  /// [outputs, inputs].
  func dense() -> Tensor
  /// The columns of these numbers as rows [count, outputs]: what becomes of one-hot rows, which need not be made.
  func columns(_ indices: [Int32]) -> Tensor
  /// left · map for left [m, outputs]: for merging, where a transform is cheaper than the product with its matrix.
  func multiplied(from left: Tensor) -> Tensor
  /// The map as factor · matrix where it keeps a factor apart: files then hold both as they are.
  var scaled: (factor: Double, matrix: Tensor) { get }
  /// Equal for maps that compute the same from the same input: sites that read one input then share one result. Nil where nothing is
  /// to be shared. Chains of one change that end in equal maps are added up before it.
  var share: String? { get }
  /// The pair whose factor this is: whoever watches a pair is shown what goes into its down and comes back to its up.
  var pair: Pair? { get }
  /// How many times that factor acts, each time on its own part of the input: I ⊗ M. Of the pair, each part is a row more.
  var copies: Int { get }
}

extension LinearMap {
  public func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor { base + apply(x) }
  public func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor { base - apply(x) }
  public func columns(_ indices: [Int32]) -> Tensor { dense().transposed.gatherRows(indices) }
  public func multiplied(from left: Tensor) -> Tensor { left.multiplied(by: dense()) }
  public var scaled: (factor: Double, matrix: Tensor) { (1, dense()) }
  public var share: String? { nil }
  public var pair: Pair? { nil }
  public var copies: Int { 1 }
}

/// A map with its sign turned.
struct Negated: LinearMap {
  let map: any LinearMap

  var outputs: Int { map.outputs }
  var inputs: Int { map.inputs }
  func apply(_ x: Tensor) -> Tensor { map.apply(x) * -1 }
  func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor { map.apply(x, subtractedFrom: base) }
  func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor { map.apply(x, addedTo: base) }
  func dense() -> Tensor { map.dense() * -1 }
  func multiplied(from left: Tensor) -> Tensor { map.multiplied(from: left) * -1 }
  var scaled: (factor: Double, matrix: Tensor) {
    let (factor, matrix) = map.scaled
    return (-factor, matrix)
  }
}

/// A site's own weight as a factor of a change, for changes that act on what the base computes.
public struct BaseFactor: LinearMap {
  let base: any BaseMap
  let site: Site
  let scalar: ScalarType

  public init(_ base: any BaseMap, at site: Site, as scalar: ScalarType) {
    self.base = base
    self.site = site
    self.scalar = scalar
  }

  public var outputs: Int { site.outputs }
  public var inputs: Int { site.inputs }
  public func apply(_ x: Tensor) -> Tensor { base.product(x) }
  public func dense() -> Tensor { base.weight(as: scalar) }
}

/// What a rule that looks behind the gradients of a pair is shown, in backward.
public protocol PairObserver: AnyObject, Sendable {
  /// u [T, inputs of down] and v [T, outputs of up] with ∂loss/∂(up·down) = vᵀ·u; the scale of the change is in v.
  func saw(_ pair: Pair, u: Tensor, v: Tensor)
}

extension SiteCall {
  /// y + chain·x: shares what other sites computed from the same input, and shows pairs to the pass's observer.
  public func apply(_ chain: [any LinearMap], to x: Tensor, addedTo y: consuming Tensor) -> Tensor {
    guard let last = chain.first else { return y }
    var (value, key, isShared) = (x, "", true)
    var watched: (pair: Pair, u: Tensor, factor: Double)?
    for map in chain.dropFirst().reversed() {
      if let share = map.share, isShared {
        key += "|" + share
        let inner = value
        value = pass.memo(x, key) { map.apply(inner) }
        continue
      }
      isShared = false
      let isUp = map.pair != nil && watched?.pair == map.pair
      let next = map.apply(value)
      if isUp, let seen = watched {
        value = observed(next, seen, by: map)
        watched = nil
      } else {
        if let pair = map.pair, pass.observer != nil { watched = (pair, value.detached.parts(map.copies), map.scaled.factor) }
        value = next
      }
    }
    let result = last.apply(value, addedTo: y)
    guard let seen = watched, last.pair == seen.pair else { return result }
    return observed(result, seen, by: last)
  }

  /// Shows the observer the pair when the gradient comes back.
  private func observed(_ value: Tensor, _ seen: (pair: Pair, u: Tensor, factor: Double), by up: any LinearMap) -> Tensor {
    guard let observer = pass.observer else { return value }
    let (scale, copies) = (seen.factor * up.scaled.factor, up.copies)
    return value.observingGradient { dy in
      let v = dy.parts(copies)
      observer.saw(seen.pair, u: seen.u, v: scale == 1 ? v : v * scale)
    }
  }
}

extension Tensor {
  /// Rows cut into equal parts, each a row of its own.
  fileprivate func parts(_ count: Int) -> Tensor { count == 1 ? self : reshaped([rows * count, columns / count]) }
}
