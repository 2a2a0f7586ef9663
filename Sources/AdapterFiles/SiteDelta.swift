import Engine
import PEFTKernel

/// ΔW of one site in double: thin products, and a dense rest where a method's change has none.
struct SiteDelta {
  let site: Site
  private(set) var thin: [FactorPair] = []
  private(set) var rest: Tensor?
  /// The lengths of what `rest` is the sum of.
  private var restSize = 0.0
  /// What is added to the base's bias.
  private(set) var bias: Tensor?

  init(at site: Site) { self.site = site }

  /// Adds weight·(W' − W) of a change to the base W' = diag(g)·(W + Σ chains), which is diag(g − 1)·W + Σ diag(g)·chains.
  mutating func add(_ change: WeightChange, weight: Double, on base: any BaseMap) {
    let gain = change.gain?.converted(to: .float64)
    func gained(_ matrix: Tensor) -> Tensor { gain.map { matrix.multipliedByColumn($0) } ?? matrix }
    func addDense(_ matrix: Tensor) {
      restSize += matrix.sumOfSquares.squareRoot()
      rest = rest.map { $0 + matrix } ?? matrix
    }
    for chain in change.chains where !chain.isEmpty {
      if let pair = FactorPair(chain) {
        thin.append(
          FactorPair(
            up: gained(pair.up.converted(to: .float64)), down: pair.down.converted(to: .float64), factor: pair.factor * weight))
      } else {
        addDense(gained(WeightChange(chains: [chain]).dense(on: .zeros([site.outputs, site.inputs], .float64))) * weight)
      }
    }
    if let bias = change.bias {
      let term = bias.converted(to: .float64) * weight
      self.bias = self.bias.map { $0 + term } ?? term
    }
    guard let gain else { return }
    let excess = gain.values.map { $0 - 1 }
    let rows = excess.indices.filter { excess[$0] != 0 }
    guard !rows.isEmpty else { return }
    let matrix = base.weight(as: .float64)
    guard rows.count < min(site.outputs, site.inputs) else {
      return addDense(matrix.multipliedByColumn(Tensor(excess, .float64)) * weight)
    }
    // Few rows change their length: a product of that rank.
    var places = [Double](repeating: 0, count: site.outputs * rows.count)
    for (column, row) in rows.enumerated() { places[row * rows.count + column] = excess[row] }
    thin.append(
      FactorPair(
        up: Tensor(places, shape: [site.outputs, rows.count], .float64), down: matrix.gatherRows(rows.map { Int32($0) }),
        factor: weight))
  }

  /// What the ranks of the parts add up to, or the rank of a matrix of this shape.
  var width: Int {
    let most = min(site.outputs, site.inputs)
    return rest == nil ? min(most, thin.reduce(0) { $0 + $1.rank }) : most
  }

  /// What rounding in double leaves where parts take each other away.
  var noise: Double {
    let sizes = thin.map { ($0.up.sumOfSquares * $0.down.sumOfSquares).squareRoot() * $0.factor.magnitude }
    return 1e-13 * sizes.reduce(restSize, +)
  }

  var isFinite: Bool {
    (rest?.isFinite ?? true) && (bias?.isFinite ?? true) && thin.allSatisfy { $0.up.isFinite && $0.down.isFinite }
  }

  /// All of it as one matrix.
  var dense: Tensor { thin.reduce(rest ?? .zeros([site.outputs, site.inputs], .float64)) { $0 + $1.dense } }

  /// The parts as one product, the numbers of the first untouched: up factors side by side, down factors on top of each other. A file has
  /// one scale for a site, that of the first; the others' up takes what they differ by. Nil where there is a dense rest.
  var stacked: FactorPair? {
    guard rest == nil, let first = thin.first else { return nil }
    let scale = first.factor.magnitude
    guard scale > 0 else { return nil }
    return FactorPair(
      up: .joinedColumns(thin.map { $0.factor == scale ? $0.up : $0.up * ($0.factor / scale) }),
      down: .joinedRows(thin.map(\.down)), factor: scale)
  }

  func decomposition() throws(Refusal) -> Decomposition {
    do throws(LinearAlgebraError) {
      guard rest == nil, !thin.isEmpty, thin.reduce(0, { $0 + $1.rank }) < min(site.outputs, site.inputs) else {
        return try Decomposition(dense)
      }
      return try Decomposition(
        up: .joinedColumns(thin.map { $0.up * $0.factor }), down: .joinedRows(thin.map(\.down)))
    } catch {
      throw Refusal("the change at \(site.id) cannot be decomposed: \(error)")
    }
  }
}
