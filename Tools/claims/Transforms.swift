import Blocks
import Engine
import JSON
import Models
import PEFTKernel
import QWHA
import Training

// QWHA [arXiv:2509.17428]: the fast transform against a dense one.

/// QWHA with its transform as the product with a matrix, shared between the sites of one input as the fast one is.
struct DenseTransform: Projection {
  let spectrum: SparseSpectrum
  /// By its inputs.
  let matrices: [Int: Tensor]

  private struct Shared: LinearMap {
    let matrix: Matrix
    var outputs: Int { matrix.outputs }
    var inputs: Int { matrix.inputs }
    var share: String? { "dense-transform" }
    func apply(_ x: Tensor) -> Tensor { matrix.apply(x) }
    func dense() -> Tensor { matrix.dense() }
  }

  init(_ spectrum: SparseSpectrum, inputs: Set<Int>) {
    self.spectrum = spectrum
    matrices = Dictionary(
      uniqueKeysWithValues: inputs.map { ($0, WalshHadamard(Hadamard(inputs: $0), as: .float32).dense()) })
  }

  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] { try spectrum.layout(of: sites) }

  func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    var change = try spectrum.change(at: site, t, on: base)
    for index in change.chains.indices {
      change.chains[index] = change.chains[index].map { map in
        guard map is WalshHadamard, let matrix = matrices[map.inputs] else { return map }
        return Shared(matrix: Matrix(matrix))
      }
    }
    return change
  }
}

extension Part {
  static let transforms = Part(name: "qwha-speed") { bench in
    var (rows, data, ratios): ([[String]], [JSON.Member], [Double]) = ([], [], [])
    func add(_ place: String, _ fast: [Double], _ dense: [Double]) throws {
      guard let a = Statistics.median(fast), let b = Statistics.median(dense), a > 0 else { throw Fault("no step was timed") }
      ratios.append(b / a)
      rows.append([place, Text.milliseconds(a), Text.milliseconds(b), Text.fixed(b / a, 2)])
      data.append(.init(place, ["fast": .array(fast.map { .double($0) }), "dense": .array(dense.map { .double($0) })]))
      bench.say("  \(place): \(Text.fixed(b / a, 2)) times as fast")
    }
    for size in [192, 1024, bench.scale.site] {
      let (fast, dense) = try branch(size, tokens: 512, repeats: bench.scale.repeats)
      try add("the branch at one site of \(size) × \(size), 512 tokens, forward and backward", fast, dense)
    }
    let model = try ModelLoader.load(Bench.model)
    var method = try bench.method("qwha", ["rank": .int(8), "init": .string("fill")])
    let examples = StepCost.examples(1, of: 512, vocabulary: model.vocabularySize)
    let fast = try StepCost(of: method, on: model, examples, steps: bench.scale.repeats)
    guard let spectrum = method.projection as? SparseSpectrum else { throw Fault("qwha has another projection") }
    method.projection = DenseTransform(spectrum, inputs: Set(model.sites.map(\.inputs)))
    let dense = try StepCost(of: method, on: model, examples, steps: bench.scale.repeats)
    try add("a whole training step of \(Bench.model), 512 tokens", fast.seconds, dense.seconds)
    let (inner, whole) = (ratios.dropLast().last ?? 0, ratios.last ?? 0)
    let finding = Finding(
      claim: "QWHA trains faster than an adapter whose transform is a dense product [arXiv:2509.17428]",
      setting: "the same coefficients, 8·(in + out) a site, behind the fast transform and behind its matrix; float32, median of "
        + "\(bench.scale.repeats); holds if the large site and the model's whole step are both at least 1.05 times as fast",
      head: ["what is timed", "fast transform", "dense transform", "times as fast"], rows: rows,
      verdict: min(inner, whole) >= 1.05 ? .yes : max(inner, whole) >= 1.05 ? .partly : .no,
      words:
        "\(Text.fixed(inner, 2)) times as fast at the large site, \(Text.fixed(whole, 2)) in a whole step of a model whose widths are "
        + "192 and 512")
    return Outcome(findings: [finding], data: .object(data))
  }

  /// Seconds of the branch forward and backward, by the fast transform and by the dense one, in turns.
  private static func branch(_ size: Int, tokens: Int, repeats: Int) throws -> (fast: [Double], dense: [Double]) {
    let site = Site(id: SiteID("site"), outputs: size, inputs: size)
    let spectrum = SparseSpectrum(size: .rank(8))
    var random = Philox(key: 1)
    var tensors = Tensors()
    for spec in try spectrum.layout(of: [site]) { tensors[spec.key] = spec.fill.tensor(spec.shape, &random) }
    let x = random.normal([tokens, size], deviation: 1)
    let base = FrozenMap(matrix: FrozenMatrix(.zeros([1, 1])))
    func once(_ projection: any Projection) throws -> Double {
      var tracked = tensors
      for (key, tensor) in tensors.values where key.name.hasSuffix("spectrum") { tracked[key] = tensor.tracked() }
      let input = x.tracked()
      let began = ContinuousClock.now
      let chain = try projection.change(at: site, tracked, on: base).chains[0]
      chain.reversed().reduce(input) { $1.apply($0) }.sum.backward()
      return (ContinuousClock.now - began) / .seconds(1)
    }
    let dense = DenseTransform(spectrum, inputs: [size])
    var times: (fast: [Double], dense: [Double]) = ([], [])
    for turn in 0...repeats {
      let pair = (try once(spectrum), try once(dense))
      if turn > 0 { (times.fast, times.dense) = (times.fast + [pair.0], times.dense + [pair.1]) }
    }
    return times
  }
}
