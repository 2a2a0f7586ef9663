import Blocks
import Engine
import PEFTKernel

/// Codes and adapter found together: each takes what the other leaves.
///
/// Algorithm 1 of [arXiv:2310.08659], for any projection that can approximate a matrix:
///
///     R₀ = W;   Q_t = quant(R_{t−1}),   R_t = W − change(approximate(W − Q_t))
///
/// The codes are those of the last round; a run whose start is near the quantization error finds the adapter that belongs to them.
public struct Alternation: Sendable {
  private let projection: any Approximating
  private let strategy: any InitStrategy
  private let layout: [TensorSpec]
  private let sites: [SiteID: Site]
  private let now: Moment
  public let rounds: Int

  /// Of the method at these sites. Refuses methods that no formula brings near a matrix.
  public init(_ method: any Parameterization, over sites: [Site], rounds: Int, seed: UInt64) throws(Refusal) {
    guard rounds >= 1 else { throw Refusal("rounds is \(rounds), but must be at least 1", remedy: "use 5") }
    guard let projection = method.projection as? any Approximating else {
      throw Refusal(
        "this method's projection cannot be brought near a matrix, so codes and adapter cannot be found together",
        remedy: "use a method that can start from the quantization error, such as lora")
    }
    self.projection = projection
    self.rounds = rounds
    strategy = method.initialization
    layout = try Adapter.layout(method, over: sites)
    self.sites = Dictionary(uniqueKeysWithValues: sites.map { ($0.id, $0) })
    now = Moment(mode: .training, seed: seed)
  }

  /// Codes of W, and what they leave of it together with the adapter; where the method does not stand, the quantizer's alone.
  func quantized(
    _ weight: Tensor, at place: Site, gram: Tensor?, _ quantizer: any Quantizer
  ) throws(Refusal) -> (QuantizedWeight, left: Tensor) {
    var quantized = try quantizer.quantized(weight, gram: gram)
    guard let site = sites[place.id] else { return (quantized, quantized.error(of: weight)) }
    var taken = try change(weight, quantized, at: site, gram)
    for _ in 1..<rounds {
      quantized = try quantizer.quantized(weight - taken, gram: gram)
      taken = try change(weight, quantized, at: site, gram)
    }
    return (quantized, quantized.error(of: weight) - taken.converted(to: .float64))
  }

  /// The change nearest to W − Q, in the metric of the method's own start where that is one of the quantization error.
  private func change(_ weight: Tensor, _ quantized: QuantizedWeight, at site: Site, _ gram: Tensor?) throws(Refusal) -> Tensor {
    let base = FrozenMap(matrix: quantized.matrix)
    let specs = layout.filter { $0.key.scope == .site(site.id) }
    let derived = try projection.derive(specs, at: site, on: base)
    var target = Target(quantized.error(of: weight))
    if let strategy = strategy as? QuantizationErrorTarget {
      guard gram != nil || strategy.inputs == nil else {
        throw Refusal("the run's start measures the error on data", remedy: "give --data, or set metric: frobenius")
      }
      var evidence = Evidence { _ in base.weight(as: .float32) }
      evidence.original = { _ in weight }
      evidence.grams[site.id] = gram
      target = try strategy.target(at: site, evidence)
    }
    let near = try projection.approximate(target, at: site, specs, derived, now.random("start").stream("\(site.id).alternation"))
    let stored = Tensors(near.tensors.values.merging(derived.values) { own, _ in own })
    let prepared = projection.prepare(stored, now, Bases { _ in base })
    return try projection.change(at: site, prepared, on: base).dense(on: base.weight(as: .float32))
  }
}
