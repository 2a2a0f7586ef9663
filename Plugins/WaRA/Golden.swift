import Engine
import PEFTKernel

extension WaRAMethod {
  /// Files hold A and B under the names of the adapter; `initial` states the bands of the input axis as matrices.
  static let golden = GoldenReader(reads: { $0.isOf("wara") }, read: problem)

  private static func problem(_ file: GoldenFile) throws(Refusal) -> GoldenCase {
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    var point = Tensors()
    var gradients: [String: TensorKey] = [:]
    for name in file.tensors.names where name.hasPrefix("trainable.") {
      let own = String(name.dropFirst("trainable.".count))
      point[own, site.id] = try file.tensor(name)
      gradients[own] = TensorKey(own, site.id)
    }
    var problem = GoldenCase(
      entry: "wara", options: file.options, sites: [site], weights: [site.id: weight], point: point, gradients: gradients)
    for level in 1...max(1, min(20, file.int("levels") ?? 1)) {
      problem.initial["D\(level)"] = InputBand(.detail(level)).matrix
      problem.initial["A\(level)"] = InputBand(.approximation(level)).matrix
    }
    return problem
  }
}

/// D_j or S_j of the input axis as a matrix.
private struct InputBand {
  let band: WaveletTransform.Band

  init(_ band: WaveletTransform.Band) { self.band = band }

  /// [N/2^j, in], cut to the columns there are.
  @Sendable func matrix(_ made: GoldenStart) throws(Refusal) -> Tensor {
    guard let projection = made.parameterization.projection as? WaveletBands else {
      throw Refusal("the entry wara is not of the projection wavelet")
    }
    let transform = WaveletTransform(filter: projection.wavelet.filter, levels: projection.transform.levels, parts: .pyramid)
    let inputs = made.sites[0].inputs
    return Tensor.identity(inputs, .float64).waveletAnalysis(transform)
      .slice(columns: transform.columns(of: band, in: inputs)).transposed
  }
}
