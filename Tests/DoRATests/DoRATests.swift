import Blocks
import Engine
import PEFTKernel
import Testing

@testable import DoRA

private let site = Site(id: SiteID("site"), outputs: 24, inputs: 20, hasBias: true)
private typealias Name = WeightDecomposed.Name

/// One site with A, B and m off their start.
private struct Problem {
  var projection: WeightDecomposed
  var tensors: Tensors
  let weight: Tensor
  let base: FrozenMap
  let x: Tensor
  let dy: Tensor

  init(rank: Int = 4, alpha: Double = 8, detachesNorm: Bool = true, dropout: Double = 0, _ scalar: ScalarType = .float64) throws {
    projection = WeightDecomposed(
      pair: LowRank(rank: rank, alpha: alpha, dropout: dropout, allowsExcessRank: true), detachesNorm: detachesNorm)
    var random = Philox(key: 9)
    weight = random.normal([24, 20], deviation: 0.3, scalar)
    base = FrozenMap(matrix: FrozenMatrix(weight), bias: random.normal([24], deviation: 1, scalar))
    tensors = Tensors()
    tensors[Name.down, site.id] = random.normal([rank, 20], deviation: 0.3, scalar)
    tensors[Name.up, site.id] = random.normal([24, rank], deviation: 0.3, scalar)
    tensors[Name.magnitude, site.id] = random.normal([24], deviation: 1, scalar)
    x = random.normal([5, 20], deviation: 1, scalar)
    dy = random.normal([5, 24], deviation: 1, scalar)
  }

  subscript(name: String) -> Tensor {
    get { tensors[name, site.id] }
    set { tensors[name, site.id] = newValue }
  }

  /// V = W + s·B·A.
  var sum: Tensor { weight + self[Name.up].multiplied(by: self[Name.down]) * projection.scale(at: site) }

  func prepared(_ stored: Tensors? = nil, _ now: Moment = Moment()) -> Tensors {
    projection.prepare(stored ?? tensors, now, Bases { [base] _ in base })
  }

  func change() throws -> WeightChange { try projection.change(at: site, prepared(), on: base) }

  func output(_ stored: Tensors? = nil, _ now: Moment = Moment()) -> Tensor {
    let pass = Pass(now: now, rows: RowLayout(lengths: [5]), sites: [site])
    return projection.output(SiteCall(site: site, input: x, base: base, pass: pass), prepared(stored, now))
  }

  func gradients() throws -> Tensors {
    let leaves = Tensors(tensors.values.mapValues { $0.tracked() })
    (output(leaves) * dy).sum.backward()
    return Tensors(try leaves.values.mapValues { try #require($0.gradient) })
  }
}

private func distance(_ a: Tensor, _ b: Tensor) -> Double { (a.detached - b.detached).largestMagnitude }

@Suite struct DoRATests {
  /// In float, against rows of W + s·B·A in double.
  @Test(arguments: [8, 0, -5.0]) func lengthsAreThoseOfTheRows(alpha: Double) throws {
    let problem = try Problem(alpha: alpha, .float32)
    let (up, down) = (problem[Name.up], problem[Name.down])
    let scale = problem.projection.scale(at: site)
    let v =
      problem.weight.converted(to: .float64)
      + up.converted(to: .float64).multiplied(by: down.converted(to: .float64)) * scale
    let exact = v.rowEnergies.squareRoot.values
    let turned = FrozenMap(matrix: FrozenMatrix(problem.weight.transposed, isTransposed: true))
    let found = [
      RowLengths(of: problem.base, up: up, down: down, scale: scale).value,
      // A column of U at a time.
      RowLengths(of: problem.base, up: up, down: down, scale: scale, chunk: 1).value,
      RowLengths(of: turned, up: up, down: down, scale: scale).value,
      RowLengths.dense(of: problem.base, up: up, down: down, scale: scale),
      RowLengths.dense(of: turned, up: up, down: down, scale: scale),
    ]
    for lengths in found {
      #expect(zip(lengths.values, exact).allSatisfy { abs($0 - $1) < 1e-6 * $1 })
    }
  }

  /// The sum of terms may come out below zero; a length never does.
  @Test func rowsThatVanishHaveNoLength() throws {
    let problem = try Problem(rank: 20, alpha: 20, .float32)
    let up = problem.weight * -1
    let lengths = RowLengths(of: problem.base, up: up, down: .identity(20), scale: 1).value
    #expect(lengths.values.allSatisfy { $0 >= 0 && $0 < 1e-3 })
    var vanishing = problem
    (vanishing[Name.up], vanishing[Name.down]) = (up, .identity(20))
    #expect(vanishing.output().isFinite)
  }

  @Test(arguments: [true, false]) func startsAtTheBase(detachesNorm: Bool) throws {
    var problem = try Problem(detachesNorm: detachesNorm, .float32)
    problem[Name.up] = .zeros([24, 4])
    let made = try problem.projection.complete(problem.tensors, at: site, on: problem.base)
    #expect(made.notes == [])
    problem[Name.magnitude] = made.tensors[Name.magnitude, site.id]
    #expect(problem.prepared()[Name.excess, site.id].largestMagnitude == 0)
    #expect(problem.output().floats == problem.base(problem.x).floats)
  }

  @Test func theMagnitudeIsTheLength() throws {
    let problem = try Problem()
    let merged = problem.weight + (try problem.change()).dense(on: problem.weight)
    let lengths = merged.rowEnergies.squareRoot.values
    #expect(zip(lengths, problem[Name.magnitude].values).allSatisfy { abs($0 - abs($1)) < 1e-13 })
  }

  @Test func onlyTheProductCounts() throws {
    let problem = try Problem()
    var scaled = problem
    scaled[Name.down] = problem[Name.down] * 4
    scaled[Name.up] = problem[Name.up] * 0.25
    #expect(distance(problem.output(), scaled.output()) < 1e-14)
  }

  /// m = n: exactly LoRA's output.
  @Test func ofTheRightLengthItIsLoRA() throws {
    var problem = try Problem(.float32)
    let made = try problem.projection.complete(problem.tensors, at: site, on: problem.base)
    problem[Name.magnitude] = made.tensors[Name.magnitude, site.id]
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [5]), sites: [site])
    // Biases are added at other places of the sum.
    let call = SiteCall(site: site, input: problem.x, base: FrozenMap(matrix: problem.base.matrix), pass: pass)
    let lora = problem.projection.pair.output(call, problem.tensors)
    #expect(problem.projection.output(call, problem.prepared()).floats == lora.floats)
  }

  /// The gradients of the formulas: D = dy ⊙ g, dm = Σ dy ⊙ inner / n, dB = s·Dᵀ·(x·Aᵀ), dA = s·(D·B)ᵀ·x.
  @Test func heldLengthsGiveTheStatedGradients() throws {
    let problem = try Problem()
    let n = problem.sum.rowEnergies.squareRoot
    let inner = problem.x.linear(problem.sum)
    let d = problem.dy.multipliedByRow(problem[Name.magnitude] / n)
    let s = problem.projection.scale(at: site)
    let found = try problem.gradients()
    let sums = Tensor(repeating: 1, shape: [1, 5], .float64).multiplied(by: problem.dy * inner).reshaped([24])
    #expect(distance(found[Name.magnitude, site.id], sums / n) < 1e-13)
    let (a, b) = (problem[Name.down], problem[Name.up])
    #expect(distance(found[Name.up, site.id], d.transposed.multiplied(by: problem.x.linear(a)) * s) < 1e-13)
    #expect(distance(found[Name.down, site.id], d.multiplied(by: b).transposed.multiplied(by: problem.x) * s) < 1e-13)
  }

  /// Lengths that follow: no gradient along a row. With A the identity, s·∂/∂V is ∂/∂B.
  @Test func followingLengthsLeaveNoGradientAlongRows() throws {
    var problem = try Problem(rank: 20, alpha: 20, detachesNorm: false)
    problem[Name.down] = .identity(20, .float64)
    let slope = try problem.gradients()[Name.up, site.id]
    #expect(slope.largestMagnitude > 0.01)
    let v = problem.sum
    for i in 0..<24 {
      #expect(abs((slope.slice(rows: i..<i + 1) * v.slice(rows: i..<i + 1)).sum.item) < 1e-12)
    }
  }

  /// y = x·Wᵀ + b + h ⊙ (x_d·Wᵀ) + (1 + h) ⊙ s·(x_d·Aᵀ)·Bᵀ, as PEFT has it.
  @Test func dropoutLeavesTheBaseAlone() throws {
    let problem = try Problem(dropout: 0.5)
    let now = Moment(mode: .training, seed: 3)
    let dropped = problem.x.dropout(0.5, now.random("dropout", site.id))
    let h = problem.prepared()[Name.excess, site.id]
    let gain = h.addingRow(Tensor(repeating: 1, shape: [24], .float64))
    let branch = dropped.linear(problem[Name.down]).linear(problem[Name.up]) * problem.projection.scale(at: site)
    let expected =
      problem.base(problem.x) + dropped.linear(problem.weight).multipliedByRow(h) + branch.multipliedByRow(gain)
    #expect(distance(problem.output(nil, now), expected) < 1e-13)
  }

  /// Near 1, subtracting before dividing keeps the digits that dividing first would lose.
  @Test func gainsNearOneKeepTheirDigits() throws {
    var problem = try Problem(.float32)
    let n = try problem.projection.complete(problem.tensors, at: site, on: problem.base).tensors[Name.magnitude, site.id]
    problem[Name.magnitude] = Tensor(n.values.enumerated().map { $1 * ($0.isMultiple(of: 2) ? 1.0001 : 0.9999) }, shape: [24])
    let h = problem.prepared()[Name.excess, site.id].values
    for (i, (m, n)) in zip(problem[Name.magnitude].values, n.values).enumerated() {
      #expect(abs(h[i] - (m - n) / n) < 2e-7 * abs(h[i]))
    }
  }

  @Test func lengthsNeedNoMatrixOfTheWeightsSize() throws {
    let size = 1024
    let large = Site(id: SiteID("large"), outputs: size, inputs: size)
    let base = FrozenMap(matrix: FrozenMatrix(Tensor(repeating: 0.01, shape: [size, size])))
    let projection = WeightDecomposed(pair: LowRank(rank: 64, alpha: 64))
    let tensors = try projection.layout(of: [large]).filled(Moment(seed: 1))
    let (_, peak) = MemoryMeter.measure { projection.prepare(tensors, Moment(), Bases { _ in base }) }
    #expect(peak < size * size * 4 / 2)
  }

  @Test func rowsOfZeros() throws {
    var problem = try Problem()
    var values = problem.weight.values
    for j in 0..<20 { values[3 * 20 + j] = 0 }
    let base = FrozenMap(matrix: FrozenMatrix(Tensor(values, shape: [24, 20], .float64)))
    problem[Name.up] = .zeros([24, 4], .float64)
    let made = try problem.projection.complete(problem.tensors, at: site, on: base)
    #expect(made.notes.count == 1 && made.tensors[Name.magnitude, site.id].values[3] == 0)
    values[0] = .nan
    let broken = FrozenMap(matrix: FrozenMatrix(Tensor(values, shape: [24, 20], .float64)))
    #expect(throws: Refusal.self) { try problem.projection.complete(problem.tensors, at: site, on: broken) }
    problem[Name.magnitude] = Tensor(repeating: .infinity, shape: [24])
    #expect(throws: Refusal.self) { try problem.projection.check(problem.tensors) }
  }

  /// A start near a matrix, with the base giving way and without: g is 1, so that the change is the pair's.
  @Test(arguments: [true, false]) func startsNearAMatrix(keeps: Bool) throws {
    let problem = try Problem(.float32)
    let gradient = GradientTarget.definition
    let options = try Options(["size": .double(0.3), "keep": .bool(keeps)], checkedBy: gradient.options)
    let assembly = Assembly(
      projection: problem.projection, initialization: try gradient.make(options),
      trainable: TrainableSubset(roles: ["factor-a", "factor-b", "magnitude"]))
    let bases = Bases { _ in problem.base }
    let layout = try Adapter.layout(assembly, over: [site])
    var random = Philox(key: 2)
    var evidence = Evidence(weight: { _ in problem.weight }, gradients: [site.id: random.normal([24, 20], deviation: 1)])
    let start = try assembly.start(layout, [site], on: bases, &evidence, Moment(seed: 1))
    let adapter = try Adapter(assembly, sites: [site], layout: layout, tensors: start.tensors, offset: start.offset, on: bases)
    #expect(adapter.attached().prepared[Name.excess, site.id].largestMagnitude < 1e-6)
    let change = try adapter.change(at: site).dense(on: problem.weight)
    let pair =
      start.tensors[Name.up, site.id].multiplied(by: start.tensors[Name.down, site.id]) * problem.projection.scale(at: site)
    #expect(pair.largestMagnitude > 0.01)
    #expect(distance(change, keeps ? pair * 0 : pair) < 1e-6)
  }

  @Test func pairsArePromisedWhileLengthsAreHeld() throws {
    for detaches in [true, false] {
      let projection = try Problem(detachesNorm: detaches).projection
      let layout = try projection.layout(of: [site])
      #expect(layout.map(\.role.pair).compactMap(\.self).count == (detaches ? 2 : 0))
      #expect(layout.map(\.count).reduce(0, +) == 200 && layout.last?.decays == false)
    }
  }
}
