import Blocks
import Engine
import PEFTKernel

extension SparseSpectrum: Approximating {
  /// The spectrum nearest to E, of p coefficients [arXiv:2509.17428, Section 3.2].
  ///
  /// Frobenius: the p largest coefficients of F⁰ = E·Pᵀ; none are nearer where P is orthogonal, n' = in. Gram, with G the target's:
  /// budgets of the rows by `AdaAlloc`, in each row the largest coefficients, and then *value refinement*, the values that are best
  /// on this support, (S·G·Sᵀ)·f = S·G·E_iᵀ with S the chosen rows of P. All of it happens in the transformed domain, where
  /// S·G·Sᵀ is a part of P·G·Pᵀ: n' + in transforms, and p_i³/3 multiplications a row.
  public func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    let error = target.matrix.converted(to: .float64)
    guard error.isFinite else {
      throw Refusal("the matrix that \(site.id) is to start from is not finite", remedy: "check the weights and the data")
    }
    let transform = transform(at: site)
    let (support, values) = try fitted(error, target.metric, count(at: site), transform, site)
    let theta = (values * (1 / scale(at: site))).converted(to: .float32)
    let tensors = Tensors([TensorKey(Self.spectrum, site.id): theta, TensorKey(Self.indices, site.id): support.index])
    let places = try self.places(tensors, at: site)
    let reached = theta.converted(to: .float64).scattered(at: places, scale: scale(at: site)).hadamardTransposed(transform)
    var isBest = support.count == site.outputs * transform.size
    if case .frobenius = target.metric, transform.size == site.inputs { isBest = true }
    return Approximation(tensors, error: target.metric.length(of: error - reached), isBest: isBest)
  }

  private func fitted(
    _ error: Tensor, _ metric: Metric, _ count: Int, _ transform: Hadamard, _ site: Site
  ) throws(Refusal) -> (Support, values: Tensor) {
    let coefficients = error.hadamard(transform)
    let squares = coefficients * coefficients
    switch metric {
    case .frobenius:
      let support = Support.largest(count, of: squares)
      // Cut to `in` columns, the rows of P are not orthogonal.
      let gram =
        transform.size == transform.inputs
        ? nil : Tensor.identity(transform.size, .float64).hadamardTransposed(transform).hadamard(transform)
      return (support, try support.values(right: coefficients, gram: gram))
    case .gram(let inputs):
      let inputs = inputs.converted(to: .float64)
      guard inputs.isFinite else {
        throw Refusal("the Gram matrix of the inputs of \(site.id) is not finite", remedy: "check the data")
      }
      let weighted = error.multiplied(by: inputs)
      let gram = inputs.hadamard(transform).transposed.hadamard(transform)
      let errors = allocation == .output ? weighted * error : error * error
      // A Gram matrix has no negative lengths, but rounding may.
      let lengths = errors.rowSums.map { max(0, $0).squareRoot() }
      let budgets = AdaAlloc(temperature: temperature, cap: transform.size).budgets(count, lengths)
      let scores = selection == .magnitude ? squares : squares.multipliedByRow(gram.diagonal)
      let support = Support.largest(budgets, of: scores)
      return (support, try support.values(right: weighted.hadamard(transform), gram: gram))
    }
  }
}

extension Tensor {
  fileprivate var rowSums: [Double] {
    multiplied(by: Tensor(repeating: 1, shape: [columns, 1], scalar)).values
  }

  fileprivate var diagonal: Tensor {
    let entries = values
    return Tensor((0..<rows).map { entries[$0 * columns + $0] }, scalar)
  }
}
