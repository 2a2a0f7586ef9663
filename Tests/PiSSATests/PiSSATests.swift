import Blocks
import Engine
import PEFTKernel
import PiSSA
import Testing

@Suite struct PiSSATests {
  private let site = Site(id: SiteID("site"), outputs: 14, inputs: 10)
  private let weight: Tensor

  init() {
    var random = Philox(key: 6)
    weight = random.normal([14, 10], deviation: 1)
  }

  private func adapter(alpha: Double, iterations: Int? = nil, seed: UInt64 = 1) throws -> Adapter {
    let definition = PrincipalTarget.definition
    let given: [String: OptionValue] = iterations.map { ["niter": .int($0)] } ?? [:]
    let method = Assembly(
      projection: LowRank(rank: 3, alpha: alpha),
      initialization: try definition.make(Options(given, checkedBy: definition.options)),
      trainable: TrainableSubset(roles: ["factor-a", "factor-b"]))
    let bases = Bases(weights: [site.id: weight])
    var evidence = Evidence { bases[$0].weight(as: .float32) }
    let layout = try Adapter.layout(method, over: [site])
    let start = try method.start(layout, [site], on: bases, &evidence, Moment(seed: seed))
    return try Adapter(method, sites: [site], layout: layout, tensors: start.tensors, offset: start.offset, on: bases)
  }

  private func residual(_ adapter: Adapter) -> Tensor { adapter.frozenBases()[site.id].weight(as: .float64) }

  /// ‖W_res‖² is what the other singular values hold, and nothing of it lies along the factors.
  @Test func theBaseKeepsTheRest() throws {
    let adapter = try adapter(alpha: 3)
    let rest = residual(adapter)
    let spectrum = try LinearAlgebra.svd(weight.converted(to: .float64)).s
    #expect(abs(rest.sumOfSquares - spectrum[3...].reduce(0) { $0 + $1 * $1 }) < 1e-5)
    let a = adapter.tensors["lora_A.weight", site.id].converted(to: .float64)
    let b = adapter.tensors["lora_B.weight", site.id].converted(to: .float64)
    #expect(b.transposed.multiplied(by: rest).largestMagnitude < 1e-5)
    #expect(rest.multiplied(byTransposeOf: a).largestMagnitude < 1e-5)
    #expect((a.multiplied(byTransposeOf: a) - b.transposed.multiplied(by: b)).largestMagnitude < 1e-5)
  }

  /// However well the directions were found, base and adapter together are the weight.
  @Test(arguments: [nil, 0, 4]) func nothingIsLost(_ iterations: Int?) throws {
    let adapter = try adapter(alpha: 6, iterations: iterations)
    #expect(try adapter.change(at: site).dense(on: weight).largestMagnitude < 1e-5)
    let same = try self.adapter(alpha: 6, iterations: iterations)
    for (key, value) in adapter.tensors.values { #expect((same.tensors[key] - value).largestMagnitude == 0) }
  }

  /// Twice the scale, factors smaller by √2.
  @Test func theScaleIsDividedOut() throws {
    let (one, two) = (try adapter(alpha: 3), try adapter(alpha: 6))
    for (key, value) in one.tensors.values {
      #expect((two.tensors[key] * 2.0.squareRoot() - value).largestMagnitude < 1e-5)
    }
  }

  @Test func aQuantizedBaseHasNoPrincipalPart() throws {
    let coded = Site(id: SiteID("site"), outputs: 14, inputs: 10, isQuantized: true)
    let error = #expect(throws: Refusal.self) { try PrincipalTarget(iterations: nil).check(coded) }
    #expect(error?.description.contains("quantization-error") == true)
  }
}
