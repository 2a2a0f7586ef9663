import Engine
import PEFTKernel

/// A rule for pairs of factors: the mathematics of one step of one pair. What all such rules share is `PairedState`:
/// finding the pairs, decay, the parameters outside of pairs, checkpoints.
public protocol PairedRule: UpdateRule {
  /// The name it is registered under.
  var name: String { get }
  /// The rule of the parameters outside of pairs. Its decay is that of the pairs, too.
  var rest: AdamW { get }
  /// Refuses pairs it cannot serve, by the rule's name.
  func check(_ pairs: [TrainedPair]) throws(Refusal)
  /// The shapes of what it remembers of a pair, by name; all zero before the first step.
  func memory(of pair: TrainedPair) -> [String: [Int]]
  /// A number of one pair's step of which `direction` is told the sum over all pairs; nil if it needs none.
  var measure: (@Sendable (PairStep) throws(LinearAlgebraError) -> Double)? { get }
  /// The step of one pair, for X ← (1 − ηλ)·X − η·d of both factors from their current values.
  ///
  /// Where it fails or there is none, the pair stays as it is, and with it what is remembered, but for tensors that
  /// the rule changes where they lie (`PairMemory.kept`).
  func direction(_ step: PairStep, _ memory: inout PairMemory, sum: Double) throws(LinearAlgebraError) -> PairDirection?
}

extension PairedRule {
  public func check(_ pairs: [TrainedPair]) throws(Refusal) {}
  public func memory(of pair: TrainedPair) -> [String: [Int]] { [:] }
  public var measure: (@Sendable (PairStep) throws(LinearAlgebraError) -> Double)? { nil }

  public func begin(_ parameters: [Parameter]) throws(Refusal) -> any UpdateState { try PairedState(self, parameters) }
}

/// One step of one pair as a rule sees it, in double.
public struct PairStep: Sendable {
  /// A [rank, inputs] and B [outputs, rank] before the step.
  public var a: Tensor
  public var b: Tensor
  /// Their gradients. They carry the scale: g_A = s·Bᵀ·∂loss/∂W, g_B = s·∂loss/∂W·Aᵀ.
  public var gradA: Tensor
  public var gradB: Tensor
  /// s of ΔW = s·B·A.
  public var scale: Double
  /// η.
  public var rate: Double
  /// λ, 0 where the factors do not decay.
  public var decay: Double
  /// Of ∂loss/∂(B·A), if the rule wants them.
  public var energies: Energies?

  public init(
    a: Tensor, b: Tensor, gradA: Tensor, gradB: Tensor, scale: Double = 1, rate: Double = 0, decay: Double = 0,
    energies: Energies? = nil
  ) {
    self.a = a
    self.b = b
    self.gradA = gradA
    self.gradB = gradB
    self.scale = scale
    self.rate = rate
    self.decay = decay
    self.energies = energies
  }
}

/// d of both factors; nil leaves a factor bit for bit as it is.
public struct PairDirection: Sendable {
  public var a: Tensor?
  public var b: Tensor?

  public init(a: Tensor?, b: Tensor?) {
    self.a = a
    self.b = b
  }
}

/// What a rule remembers of a pair: tensors by name, and how many steps the pair has taken.
///
/// They are kept in the parameters' scalar, which is what a checkpoint holds, and read and written in double.
public struct PairMemory: Sendable {
  public internal(set) var stored: [String: Tensor]
  public internal(set) var steps = 0

  init(_ shapes: [String: [Int]], _ scalar: ScalarType) {
    stored = shapes.mapValues { .zeros($0, scalar) }
  }

  /// In double; written, in the parameters' scalar.
  public subscript(name: String) -> Tensor {
    get { kept(name).converted(to: .float64) }
    set { stored[name] = newValue.converted(to: kept(name).scalar).copied() }
  }

  /// As it is kept, for large tensors that are changed where they lie.
  public func kept(_ name: String) -> Tensor {
    guard let tensor = stored[name] else { preconditionFailure("nothing is remembered under \(name)") }
    return tensor
  }

  /// 1-based number of the step being taken.
  public var count: Int { steps + 1 }
}
