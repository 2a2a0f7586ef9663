import Blocks
import Engine
import PEFTKernel

/// One pair of factors, ΔW = s·B·A, and gradients of its weight: what rules for pairs are tried on, in double.
public struct PairBench: Sendable {
  /// A [rank, inputs] and B [outputs, rank] before the first step.
  public var a: Tensor
  public var b: Tensor
  /// s.
  public var scale: Double
  /// ∂loss/∂W [outputs, inputs] of every step.
  public var gradients: [Tensor]

  /// Factors and gradients drawn for `seed`, the gradients of size `gradient`.
  public init(
    outputs: Int, inputs: Int, rank: Int, scale: Double = 1, steps: Int = 1, gradient: Double = 1, seed: UInt64 = 1
  ) {
    var random = Philox(key: seed).stream("pair bench")
    a = random.normal([rank, inputs], deviation: 1, .float64)
    b = random.normal([outputs, rank], deviation: 1, .float64)
    self.scale = scale
    gradients = (0..<steps).map { _ in random.normal([outputs, inputs], deviation: gradient, .float64) }
  }

  public static let pair = Pair("bench")

  /// What of it is trained, in memory of its own.
  public func parameters(_ scalar: ScalarType = .float64) -> [Parameter] {
    [
      Parameter(
        name: "lora_A", role: .down(Self.pair), decays: true, value: a.converted(to: scalar).copied(), scale: scale),
      Parameter(name: "lora_B", role: .up(Self.pair), decays: true, value: b.converted(to: scalar).copied(), scale: scale),
    ]
  }

  /// Takes step t = 0, 1, … of the bench with the factors as they are in `parameters`.
  public func step(
    _ t: Int, _ state: any UpdateState, _ parameters: [Parameter], rate: Double, energies: Bool = true
  ) {
    let scalar = parameters[0].value.scalar
    let (a, b) = (parameters[0].value.converted(to: .float64), parameters[1].value.converted(to: .float64))
    let product = gradients[t] * scale
    state.step(
      parameters, [(b.t ⋅ product).converted(to: scalar), (product ⋅ a.t).converted(to: scalar)],
      StepEvidence(learningRate: rate, energies: energies ? [Self.pair: Energies(of: product)] : [:]))
  }

  /// The factors before the first step and after each.
  public func run(_ rule: any UpdateRule, rate: Double) throws(Refusal) -> [(a: Tensor, b: Tensor)] {
    let parameters = parameters()
    let state = try rule.begin(parameters)
    var factors = [(a, b)]
    for t in gradients.indices {
      step(t, state, parameters, rate: rate)
      factors.append((parameters[0].value.copied(), parameters[1].value.copied()))
    }
    return factors
  }

  /// d of the first step, X ← X − η·d.
  public func direction(_ rule: any UpdateRule) throws(Refusal) -> (a: Tensor, b: Tensor) {
    let factors = try run(rule, rate: 1)
    return (factors[0].a - factors[1].a, factors[0].b - factors[1].b)
  }

  /// What the factor steps dA, dB do to B·A: J = B·dA + dB·A.
  public func effect(_ d: (a: Tensor, b: Tensor)) -> Tensor { b ⋅ d.a + d.b ⋅ a }

  /// The same product in another basis: B·C, C⁻¹·A for a random C near the identity.
  public func rebased(seed: UInt64 = 2) throws(LinearAlgebraError) -> PairBench {
    var random = Philox(key: seed).stream("basis")
    let c = Tensor.identity(a.rows, .float64) + random.normal([a.rows, a.rows], deviation: 0.3, .float64)
    var bench = self
    bench.b = b ⋅ c
    bench.a = try LinearAlgebra.pseudoInverse(c, tolerance: 0) ⋅ a
    return bench
  }
}
