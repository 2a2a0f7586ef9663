import Blocks
import Engine
import PEFTKernel

extension WaveletBands: Approximating {
  /// Every pair is the truncated singular value decomposition of its band of M, or of the mean of the bands it serves.
  ///
  /// The transforms of both axes are orthogonal, so ‖M − ΔW‖² is a sum over bands, and Σ_b ‖M_b − X‖² over tied bands is, but for a
  /// constant, a multiple of ‖mean M_b − X‖². Where sizes are continued by zeros, what the pairs say about the cut-off part counts
  /// here though it does not in ΔW: the answer is near, but not the best.
  func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    guard case .frobenius = target.metric else {
      throw Refusal(
        "projection wavelet cannot approximate in the metric \(target.metric.name) at \(site.id): the inputs' Gram matrix couples the "
          + "bands, so no band has a best pair of its own", remedy: "use metric: frobenius")
    }
    let bands = target.matrix.converted(to: .float64).waveletAnalysis(transform).transposed.waveletAnalysis(transform).transposed
    let root = (1 / scale).squareRoot()
    var tensors = Tensors()
    var isBest = transform.padded(site.outputs) == site.outputs && transform.padded(site.inputs) == site.inputs
    for term in terms {
      let parts = term.places.map { place in
        bands.slice(rows: transform.columns(of: place.outputs, in: site.outputs))
          .slice(columns: transform.columns(of: place.inputs, in: site.inputs))
      }
      let mean = parts.dropFirst().reduce(parts[0], +) * (1 / Double(parts.count))
      let best = try BestPair(rank, of: Target(mean, iterations: target.iterations), random.stream(term.name))
      let (up, down) = best.balanced
      tensors[term.down, site.id] = (down * root).converted(to: .float32)
      tensors[term.up, site.id] = (up * root).converted(to: .float32)
      isBest = isBest && best.isBest
    }
    let made = Tensors(tensors.values.mapValues { $0.converted(to: .float64) })
    let matrix = target.matrix.converted(to: .float64)
    let change = change(at: site, made).dense(on: matrix)
    return Approximation(tensors, error: target.metric.length(of: matrix - change), isBest: isBest)
  }
}
