import Blocks
import Engine
import PEFTKernel

extension QWHAMethod {
  /// One site: `weight` is W_Q, the error W₀ − W_Q and the Gram matrix of the inputs are given.
  static let golden = GoldenReader(reads: { $0.isOf("qwha") }) { (file) throws(Refusal) in
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    let (spectrum, indices) = (TensorKey(SparseSpectrum.spectrum, site.id), TensorKey(SparseSpectrum.indices, site.id))
    guard let index = file.integers["frozen.qwha_indices"], index.count % 2 == 0 else {
      throw Refusal("the file has no list of places frozen.qwha_indices")
    }
    let point = Tensors([
      spectrum: try file.tensor("trainable.qwha_spectrum"),
      indices: Tensor(index.map(Double.init), shape: [2, index.count / 2], .float64),
    ])
    let (error, gram) = (try file.tensor("given.quant_error"), try file.tensor("given.gram"))
    let transform = Hadamard(inputs: site.inputs)
    // The entry's own start is the spec's; its other one is the layout's.
    var options = file.options
    if options["init"] == .string("quantization-error") { options["init"] = nil }
    if options["init"] == .string("zero") { options["init"] = .string("fill") }
    var problem = GoldenCase(
      entry: "qwha", options: options, sites: [site], weights: [site.id: weight], point: point,
      gradients: ["qwha_spectrum": spectrum])
    problem.originals = [site.id: weight + error]
    problem.grams = [site.id: gram]
    @Sendable func length(_ error: Tensor) -> Tensor { Tensor([Metric.gram(gram).length(of: error)], .float64) }
    @Sendable func ones(_ made: GoldenStart) throws(Refusal) -> Tensor {
      let places = try SparseEntries.places(indices, of: made.start.tensors, outputs: site.outputs, inputs: transform.size)
      return Tensor(repeating: 1, shape: [places.count], .float64).scattered(at: places)
    }
    problem.initial = [
      "hadamard": { (_) throws(Refusal) in
        let full = Hadamard(inputs: transform.size)
        return Tensor.identity(full.size, .float64).hadamard(full).transposed * Double(full.size).squareRoot()
      },
      "budget": { (made) throws(Refusal) in
        try ones(made).multiplied(by: Tensor(repeating: 1, shape: [transform.size, 1], .float64))
      },
      "selected": { (made) throws(Refusal) in try ones(made) },
      "spectrum_dense": { (made) throws(Refusal) in
        let places = try SparseEntries.places(indices, of: made.start.tensors, outputs: site.outputs, inputs: transform.size)
        return made.start.tensors[spectrum].scattered(at: places)
      },
      "update": { (made) throws(Refusal) in try made.change(made.start.tensors, at: site) },
      "error_before": { (_) throws(Refusal) in length(error) },
      "error_unrefined": { (made) throws(Refusal) in
        length(error - (error.hadamard(transform) * (try ones(made))).hadamardTransposed(transform))
      },
      "error_after": { (made) throws(Refusal) in
        length(error - (try made.change(made.start.tensors, at: site).converted(to: .float64)))
      },
    ]
    return problem
  }
}
