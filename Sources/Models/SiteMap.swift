import Engine
import PEFTKernel

/// A site's map, bound to its weights.
struct SiteMap: Sendable {
  let part: PlannedMap
  let frozen: FrozenMap

  init(_ part: PlannedMap, _ weights: BaseWeights) {
    self.part = part
    frozen = FrozenMap(matrix: weights.matrix(part.weight), bias: part.bias.map { weights.vector($0) })
  }

  /// The output at the site, whatever stands there: every linear map of a model goes through here.
  func callAsFunction(_ x: Tensor, _ run: ModelRun) -> Tensor {
    var base = base(run)
    run.observeInput?(part.site.id, x)
    if let observe = run.observe { base = ObservedMap(base: base, id: part.site.id, observe: observe) }
    return run.attachment?.output(at: part.site.id, x, base, run.pass) ?? base(x)
  }

  /// The map with its trained tensors in place of the file's.
  private func base(_ run: ModelRun) -> any BaseMap {
    if run.trained.isEmpty { return frozen }
    let bias = part.bias.flatMap { run.trained[$0] } ?? frozen.bias
    // A head that shares the table can be given a weight of its own.
    guard let weight = run.trained[part.site.id.path + ".weight"] ?? run.trained[part.weight] else {
      return FrozenMap(matrix: frozen.matrix, bias: bias)
    }
    return TensorMap(
      matrix: weight, bias: bias.map { $0.scalar == run.scalar ? $0 : $0.converted(to: run.scalar) },
      isTransposed: frozen.matrix.isTransposed)
  }
}

/// A base map that shows its input and the gradient of its output.
// Unchecked: the observer is called by the backward pass of the one caller a run belongs to.
private struct ObservedMap: BaseMap, @unchecked Sendable {
  let base: any BaseMap
  let id: SiteID
  let observe: (SiteID, Tensor, Tensor) -> Void

  func product(_ x: Tensor) -> Tensor {
    let seen = x.detached
    return base.product(x).observingGradient { [self] dy in observe(id, seen, dy) }
  }

  func weight(as scalar: ScalarType) -> Tensor { base.weight(as: scalar) }
  func rows(_ range: Range<Int>, as scalar: ScalarType) -> Tensor { base.rows(range, as: scalar) }
  var bias: Tensor? { base.bias }
  var isTransposed: Bool { base.isTransposed }
  var isQuantized: Bool { base.isQuantized }
}
