import Blocks
import Catalog
import Conformance
import Engine
import PEFTKernel
import Testing

@testable import AdaPreLoRA

/// The defining properties of the step, by brute force where a closed form could share a mistake.
@Suite struct AdaPreLoRATests {
  let bench = PairBench(outputs: 7, inputs: 5, rank: 2, scale: 1.5)

  func rule(_ options: [String: OptionValue] = [:]) throws -> AdaPreLoRARule {
    try AdaPreLoRARule(Options(options, checkedBy: AdaPreLoRARule.definition.options))
  }

  var exact: [String: OptionValue] { ["beta1": .double(0), "damping": .double(0)] }

  /// √V of the first step: from G = s·∂loss/∂W alone.
  func roots(of g: Tensor) -> Tensor {
    let square = g * g
    let rows = square ⋅ Tensor(repeating: 1, shape: [g.columns, 1], .float64) * (1 / Double(g.columns))
    let columns = Tensor(repeating: 1, shape: [1, g.rows], .float64) ⋅ square * (1 / Double(g.rows))
    let mean = square.sum.item / Double(g.count)
    return Tensor((rows ⋅ columns).values.map { ($0 / mean).squareRoot() }, shape: g.shape, .float64)
  }

  /// J is the projection of H⁻¹G on what a pair can do, in H's norm: least squares over the explicit Jacobian.
  @Test(arguments: [(7, 5, 2), (9, 13, 3)]) func effectIsTheProjection(_ outputs: Int, _ inputs: Int, _ rank: Int) throws {
    let bench = PairBench(outputs: outputs, inputs: inputs, rank: rank, scale: 1.5)
    let j = bench.effect(try bench.direction(rule(exact)))
    let g = bench.gradients[0] * bench.scale
    let root = roots(of: g)
    let ideal = g.combined(with: root) { $0 / $1 }
    // One column per entry of dA, dB; rows are weighted by √H.
    var columns: [Tensor] = []
    for factor in 0..<2 {
      let shape = factor == 0 ? bench.a.shape : bench.b.shape
      for place in 0..<shape[0] * shape[1] {
        let unit = Tensor((0..<shape[0] * shape[1]).map { $0 == place ? 1 : 0 }, shape: shape, .float64)
        let effect = factor == 0 ? bench.b ⋅ unit : unit ⋅ bench.a
        columns.append(effect.combined(with: root) { $0 * $1.squareRoot() }.reshaped([1, g.count]))
      }
    }
    let jacobian = Tensor.joinedRows(columns).transposed
    let target = ideal.combined(with: root) { $0 * $1.squareRoot() }.reshaped([g.count, 1])
    let best = jacobian ⋅ (try LinearAlgebra.pseudoInverse(jacobian, tolerance: 1e-11) ⋅ target)
    let ours = j.combined(with: root) { $0 * $1.squareRoot() }.reshaped([g.count, 1])
    #expect((ours - best).largestMagnitude < 1e-11 * best.largestMagnitude)
    let inner = (ours * target).sum.item
    #expect(abs(inner / ours.sumOfSquares - 1) < 1e-11)
  }

  /// Of all pairs of steps with that effect, none is more balanced.
  @Test func noOtherMemberOfTheFamilyIsMoreBalanced() throws {
    let d = try bench.direction(rule(exact))
    let root = roots(of: bench.gradients[0] * bench.scale)
    func imbalance(_ d: (a: Tensor, b: Tensor)) -> Double {
      ((d.b ⋅ bench.a - bench.b ⋅ d.a).combined(with: root) { $0 * $1.squareRoot() }).sumOfSquares
    }
    let ours = imbalance(d)
    var random = Philox(key: 3)
    for _ in 0..<200 {
      let x = random.normal([2, 2], deviation: 0.1, .float64)
      #expect(imbalance((d.a + x ⋅ bench.a, d.b - bench.b ⋅ x)) >= ours)
    }
  }

  @Test func basisOfThePairDoesNotMatter() throws {
    var long = PairBench(outputs: 9, inputs: 13, rank: 3, steps: 5)
    let rule = try rule(exact.merging(["beta2": .double(0.9)]) { $1 })
    let one = try long.run(rule, rate: 0.05)
    long = try long.rebased()
    let other = try long.run(rule, rate: 0.05)
    for (one, other) in zip(one, other) {
      let product = one.b ⋅ one.a
      #expect((product - other.b ⋅ other.a).largestMagnitude < 1e-11 * product.largestMagnitude)
    }
  }

  /// With energies that are all alike: P_B·G + G·P_A − P_B·G·P_A, the projection of LoRA-Pro.
  @Test func equalEnergiesProjectInFrobeniusNorm() throws {
    let g = bench.gradients[0]
    let (a, b) = (bench.a, bench.b)
    func ones(_ n: Int) -> Tensor { Tensor(repeating: 1, shape: [n], .float64) }
    let d = try rule(exact).direction(a, b, b.t ⋅ g, g ⋅ a.t, rows: ones(7), columns: ones(5))
    let pB = b ⋅ (try LinearAlgebra.pseudoInverse(b, tolerance: 0))
    let pA = (try LinearAlgebra.pseudoInverse(a, tolerance: 0)) ⋅ a
    let expected = pB ⋅ g + g ⋅ pA - (pB ⋅ g) ⋅ pA
    #expect((bench.effect((try #require(d.a), try #require(d.b))) - expected).largestMagnitude < 1e-12)
    let dA = try Cholesky(b.t ⋅ b).solve(b.t ⋅ g) ⋅ (.identity(5, .float64) - pA * 0.5)
    #expect((try #require(d.a) - dA).largestMagnitude < 1e-12)
  }

  @Test func constantFactorsOfTheLossDoNotMatter() throws {
    let rule = try rule(["eps": .double(0), "damping": .double(1e-3)])
    let one = try bench.direction(rule)
    var other = bench
    other.gradients = other.gradients.map { $0 * 1000 }
    let scaled = try other.direction(rule)
    #expect((one.a - scaled.a).largestMagnitude < 1e-12 && (one.b - scaled.b).largestMagnitude < 1e-12)
  }

  @Test func fromZeroOnlyBMoves() throws {
    var bench = bench
    bench.b = bench.b * 0
    let d = try bench.direction(rule())
    #expect(d.a.largestMagnitude == 0)
    // dB·A is the H-projection of H⁻¹G on what B alone can do: dB = ν^-½·L̄^-½·g_B·M_A⁻¹ has L̄^½·(…) orthogonal to the rest.
    let g = bench.gradients[0] * bench.scale
    let root = roots(of: g)
    let rest = g.combined(with: root) { $0 / $1 } - d.b ⋅ bench.a
    #expect(((rest * root) ⋅ bench.a.t).largestMagnitude < 1e-5 * g.largestMagnitude)
  }

  @Test func withoutGradientOnlyDecayIsLeft() throws {
    var bench = PairBench(outputs: 7, inputs: 5, rank: 2, steps: 3)
    bench.gradients[0] = bench.gradients[0] * 0
    bench.gradients[2] = bench.gradients[2] * 0
    for eps in [0, 1e-30] {
      let rule = try rule(["weight_decay": .double(0.1), "eps": .double(eps), "beta1": .double(0)])
      let parameters = bench.parameters()
      let state = try rule.begin(parameters)
      bench.step(0, state, parameters, rate: 0.5)
      #expect((parameters[0].value - bench.a * 0.95).largestMagnitude == 0)
      bench.step(1, state, parameters, rate: 0.5)
      let (before, rows) = (parameters[0].value.copied(), state.tensors["pair.bench.rows"]?.copied())
      bench.step(2, state, parameters, rate: 0.5)
      #expect((parameters[0].value - before * 0.95).largestMagnitude == 0)
      let after = try #require(state.tensors["pair.bench.rows"])
      #expect((after - (try #require(rows)) * 0.999).largestMagnitude < 1e-15)
      #expect(parameters.allSatisfy { $0.value.isFinite })
    }
  }

  /// (r + 1)·(in + out) numbers, or in + out without momentum, beside the count.
  @Test func stateIsOfLoRASize() throws {
    func size(_ options: [String: OptionValue]) throws -> Int {
      try rule(options).begin(bench.parameters()).tensors.values.reduce(0) { $0 + $1.count }
    }
    #expect(try size([:]) == 3 * 12)
    #expect(try size(["beta1": .double(0)]) == 12)
  }

  @Test func surrogateEnergiesAreThoseOfTheTangent() throws {
    let g = bench.gradients[0]
    let step = PairStep(a: bench.a, b: bench.b, gradA: bench.b.t ⋅ g, gradB: g ⋅ bench.a.t)
    let dense = Energies(of: step.gradB ⋅ step.a + step.b ⋅ step.gradA)
    let ours = AdaPreLoRARule.surrogate(step)
    for (x, y) in zip(ours.rows + ours.columns, dense.rows + dense.columns) { #expect(abs(x - y) < 1e-12 * (1 + y)) }
    #expect(try !rule(["statistics": .string("surrogate")]).wantsEnergies && rule().wantsEnergies)
  }

  /// β₂ₜ = 1 − t^-0.8, without correction: 0 at first.
  @Test func adafactorsScheduleForgetsTheStart() throws {
    let bench = PairBench(outputs: 7, inputs: 5, rank: 2, steps: 2)
    let state = try rule(["beta2_schedule": .string("adafactor")]).begin(bench.parameters())
    let parameters = bench.parameters()
    bench.step(0, state, parameters, rate: 0.1)
    func rows(_ t: Int) -> Tensor { Tensor(Energies(of: bench.gradients[t]).rows.map { $0 / 5 }, .float64) }
    #expect((try #require(state.tensors["pair.bench.rows"]) - rows(0)).largestMagnitude < 1e-15)
    bench.step(1, state, parameters, rate: 0.1)
    let share = 0.574349177498517  // 2^-0.8
    let expected = rows(0) * (1 - share) + rows(1) * share
    #expect((try #require(state.tensors["pair.bench.rows"]) - expected).largestMagnitude < 1e-14)
  }

  /// Energies that nobody measured: the pair waits, and nothing is remembered.
  @Test func missingEnergiesMoveNothing() throws {
    let parameters = bench.parameters()
    let state = try rule().begin(parameters)
    bench.step(0, state, parameters, rate: 0.1, energies: false)
    #expect((parameters[0].value - bench.a).largestMagnitude == 0 && state.counters["pair.bench.steps"] == 0)
    #expect(state.tensors.values.allSatisfy { $0.largestMagnitude == 0 })
  }

  @Test func dampingBoundsTheFirstMovesOfA() throws {
    var bench = PairBench(outputs: 24, inputs: 32, rank: 4, steps: 3)
    bench.b = bench.b * 0
    func move(_ damping: Double) throws -> Double {
      let factors = try bench.run(rule(["damping": .double(damping)]), rate: 3e-3)
      return (factors[3].a - factors[0].a).largestMagnitude
    }
    #expect(try move(1e-2) < 0.2 * move(1e-6))
  }

  @Test func refusals() throws {
    func message(_ options: [String: OptionValue], _ bench: PairBench) -> String {
      do {
        _ = try rule(options).begin(bench.parameters())
        return ""
      } catch { return "\(error)" }
    }
    var zero = bench
    zero.b = zero.b * 0
    #expect(message(["damping": .double(0)], zero).contains("adaprelora with damping 0 divides by factors, but `lora_B`"))
    #expect(message(["damping": .double(0)], bench) == "")
    let wide = PairBench(outputs: 4, inputs: 6, rank: 5)
    #expect(message([:], wide).contains("[4, 6] has rank 5"))
  }
}
