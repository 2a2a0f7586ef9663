import Engine

/// A matrix that an init strategy would like a site's change to be.
public struct Target: Sendable {
  /// M [outputs, inputs].
  public var matrix: Tensor
  /// What "near" means.
  public var metric: Metric
  /// Whether the start's change is taken off the base, so that step 0 keeps its function.
  public var keepsFunction: Bool
  /// Power iterations with which leading singular vectors are sought; nil: found exactly wherever that can be afforded.
  public var iterations: Int?

  public init(_ matrix: Tensor, metric: Metric = .frobenius, keepsFunction: Bool = false, iterations: Int? = nil) {
    self.matrix = matrix
    self.metric = metric
    self.keepsFunction = keepsFunction
    self.iterations = iterations
  }
}

/// How the distance E [outputs, inputs] between a target and a change is measured.
public enum Metric: Sendable {
  /// ‖E‖_F.
  case frobenius
  /// √tr(E·C·Eᵀ) with C [inputs, inputs] = Σ xᵀ·x, in double: the error of the site's output.
  case gram(Tensor)

  public var name: String {
    switch self {
    case .frobenius: "frobenius"
    case .gram: "gram"
    }
  }

  /// The length of E in this metric.
  public func length(of error: Tensor) -> Double {
    switch self {
    case .frobenius: return error.sumOfSquares.squareRoot()
    case .gram(let gram):
      let error = error.converted(to: .float64)
      return max(0, (error.multiplied(by: gram.converted(to: .float64)) * error).sum.item).squareRoot()
    }
  }
}

/// A start that comes near a target.
public struct Approximation: Sendable {
  /// Every stored tensor of the site.
  public var tensors: Tensors
  /// How far the change is from the target, in the target's metric.
  public var error: Double
  /// Whether no tensors of this projection come nearer.
  public var isBest: Bool

  public init(_ tensors: Tensors, error: Double, isBest: Bool) {
    self.tensors = tensors
    self.error = error
    self.isBest = isBest
  }
}

/// A projection that can be started from a matrix: it finds the tensors whose change comes near it, and says honestly whether none
/// come nearer.
public protocol Approximating: Projection {
  /// The tensors of `layout`, those of one site, whose change is near `target`; refuses metrics and settings for which the
  /// mathematics has no answer. What `derive` made stands in `derived`; `random` decides where a choice is free.
  func approximate(_ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox) throws(Refusal)
    -> Approximation
}
