import Blocks
import Engine
import PEFTKernel
import Testing

@testable import UniLoRA

private let sites = [
  Site(id: SiteID("a.query"), outputs: 13, inputs: 10), Site(id: SiteID("a.value"), outputs: 7, inputs: 10),
  Site(id: SiteID("b.query"), outputs: 10, inputs: 7),
]
/// Σ rank·(inputs + outputs) at rank 3.
private let positions = 3 * (23 + 17 + 17)

private func start(_ projection: OneVector, _ sites: [Site] = sites) throws -> (layout: [TensorSpec], tensors: Tensors) {
  let layout = try projection.layout(of: sites)
  return (layout, layout.filled(Moment(seed: 5), .float64))
}

private func index(_ tensors: Tensors) -> [Int32] {
  sites.flatMap { site in
    (tensors[FactorPlace.indexA, site.id].values + tensors[FactorPlace.indexB, site.id].values).map { Int32($0) }
  }
}

/// θ_D in site order.
private func factors(_ prepared: Tensors) -> [Double] {
  sites.flatMap { prepared["A", $0.id].values + prepared["B", $0.id].values }
}

@Suite struct UniLoRATests {
  @Test func countsOneVectorForTheModel() throws {
    let (layout, tensors) = try start(OneVector(rank: 3, length: 31))
    #expect(layout.filter { $0.role == .vector }.map(\.count) == [31])
    #expect(layout.filter { $0.keep == .stored }.map(\.key.description) == ["unilora_theta_d"])
    #expect(!layout[0].decays)
    #expect(tensors["unilora_theta_d"].largestMagnitude <= 0.02)
    let standard = try OneVector(rank: 3).layout(of: sites)
    #expect(standard[0].shape == [(positions + 8) / 16])
    let saved = try OneVector(rank: 3, savesIndices: true).layout(of: sites)
    #expect(saved.allSatisfy { $0.keep == .stored })
  }

  @Test func lengthsThatFitBadlyAreNoted() throws {
    func notes(_ projection: OneVector) throws -> [String] {
      try NearStart().start(projection.layout(of: sites), sites, projection, Evidence(weight: { _ in .zeros([1, 1]) }), Moment())
        .notes
    }
    #expect(try notes(OneVector(rank: 3)).isEmpty)
    #expect(try notes(OneVector(rank: 3, length: 3)).isEmpty)
    #expect(try notes(OneVector(rank: 3, length: 2)).first?.contains("more than 64 each") == true)
    #expect(try notes(OneVector(rank: 3, length: 172)).first?.contains("the rest is unused") == true)
    #expect(throws: Refusal.self) { try OneVector(rank: 8).layout(of: sites) }
  }

  @Test(arguments: IndexGenerator.allCases, [1, 7, 31, 171, 200])
  func balancesTheIndex(_ generator: IndexGenerator, length: Int) throws {
    let list = index(try start(OneVector(rank: 3, length: length, generator: generator)).tensors)
    let counts = Assignment.counts(list, length: length)
    #expect(counts.reduce(0, +) == positions)
    #expect(try #require(counts.max()) - #require(counts.min()) <= 1)
  }

  @Test func indexFollowsSeedAndSites() throws {
    let projection = OneVector(rank: 3, length: 31)
    let list = index(try start(projection).tensors)
    #expect(list == index(try start(projection).tensors))
    #expect(list != index(try start(OneVector(rank: 3, length: 31, seed: 43)).tensors))
    #expect(list != index(try start(projection, sites.reversed()).tensors))
    #expect(list != Array(0..<Int32(31)) + list.dropFirst(31))
  }

  /// PᵀP = I, and ⟨P·u, g⟩ = ⟨u, Pᵀ·g⟩ with Pᵀ as the tape has it.
  @Test func projectsIsometrically() throws {
    let projection = OneVector(rank: 3, length: 31)
    var tensors = try start(projection).tensors
    var random = Philox(key: 3)
    let u = random.normal([31], deviation: 1, .float64).tracked()
    tensors["unilora_theta_d"] = u
    let prepared = projection.prepare(tensors, Moment(), Bases(weights: [:]))
    let (images, square) = (factors(prepared), u.sumOfSquares)
    #expect(abs(images.reduce(0) { $0 + $1 * $1 } - square) < 1e-12 * square)
    var product = 0.0
    var seeds: [(output: Tensor, seed: Tensor)] = []
    for tensor in prepared.values.values {
      let g = random.normal(tensor.shape, deviation: 1, .float64)
      product += (tensor.detached * g).sum.item
      seeds.append((tensor, g))
    }
    Tensor.backward(seeds)
    let adjoint = try #require(u.gradient)
    #expect(abs((u.detached * adjoint).sum.item - product) < 1e-12 * abs(product) + 1e-12)
  }

  /// One entry of θ_d moves exactly its n_j copies, each by 1/√n_j of its own move.
  @Test func spreadsOneEntryOverItsCopies() throws {
    let projection = OneVector(rank: 3, length: 31)
    var tensors = try start(projection).tensors
    let counts = Assignment.counts(index(tensors), length: 31)
    let before = factors(projection.prepare(tensors, Moment(), Bases(weights: [:])))
    var moved = tensors["unilora_theta_d"].values
    moved[4] += 0.5
    tensors["unilora_theta_d"] = Tensor(moved, .float64)
    let steps = zip(factors(projection.prepare(tensors, Moment(), Bases(weights: [:]))), before).map { $0 - $1 }.filter {
      $0 != 0
    }
    #expect(steps.count == counts[4])
    #expect(steps.allSatisfy { abs($0 - 0.5 / Double(counts[4]).squareRoot()) < 1e-14 })
  }

  @Test func gradientMatchesDifferences() throws {
    let projection = OneVector(rank: 3, length: 31, fill: .normal(deviation: 1))
    let tensors = try start(projection).tensors
    var random = Philox(key: 9)
    let x = random.normal([4, 10], deviation: 1, .float64)
    let weights = sites.map { random.normal([$0.outputs, $0.inputs], deviation: 0.3, .float64) }
    let seed = random.normal([4, 10], deviation: 1, .float64)
    /// Two sites in a chain read one vector.
    func loss(_ theta: Tensor) -> Tensor {
      var point = tensors
      point["unilora_theta_d"] = theta
      let prepared = projection.prepare(point, Moment(), Bases(weights: [:]))
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [4]), sites: sites)
      func output(_ i: Int, _ x: Tensor) -> Tensor {
        projection.output(SiteCall(site: sites[i], input: x, base: TensorMap(matrix: weights[i]), pass: pass), prepared)
      }
      return (output(2, output(1, x).tanh) * seed).sum
    }
    let theta = tensors["unilora_theta_d"].tracked()
    loss(theta).backward()
    let gradient = try #require(theta.gradient).values
    for j in 0..<31 {
      let slope = [1.0, -1].map { sign in
        var values = theta.values
        values[j] += sign * 1e-5
        return loss(Tensor(values, .float64)).item
      }
      #expect(abs((slope[0] - slope[1]) / 2e-5 - gradient[j]) < 1e-7 * max(1, abs(gradient[j])))
    }
    let zero = Tensor.zeros([31], .float64).tracked()
    loss(zero).backward()
    #expect(try #require(zero.gradient).largestMagnitude == 0)
  }

  @Test func exactStartIsTheBase() throws {
    let assembly = Assembly(
      projection: OneVector(rank: 3, length: 31), initialization: NearStart(isExact: true),
      trainable: TrainableSubset(roles: ["vector"]))
    let layout = try Adapter.layout(assembly, over: sites)
    let evidence = Evidence { _ in Tensor.zeros([1]) }
    let start = try assembly.initialization.start(layout, sites, assembly.projection, evidence, Moment(seed: 1))
    let adapter = try Adapter(
      assembly, sites: sites, layout: layout, tensors: start.tensors, offset: start.offset, on: Bases(weights: [:]))
    for site in sites {
      let like = Tensor.zeros([site.outputs, site.inputs])
      #expect(try adapter.change(at: site).dense(on: like).largestMagnitude < 1e-9)
    }
    #expect(NearStart().startLaw == .near)
    #expect(adapter.trainable.map(\.count) == [31])
    let own = try #require(adapter.offset)["unilora_theta_d"]
    adapter.tensors["unilora_theta_d"].scaleInPlace(by: 0)
    #expect(own.largestMagnitude > 0, "training must not move the offset")
  }

  @Test func refusesWhatCannotBe() throws {
    let projection = OneVector(rank: 3, length: 31)
    let tensors = try start(projection).tensors
    for wrong in [31.0, -1, 0.5, .nan, .infinity] {
      var broken = tensors
      var values = tensors[FactorPlace.indexB, sites[1].id].values
      values[3] = wrong
      broken[FactorPlace.indexB, sites[1].id] = Tensor(values, shape: [7, 3], .float64)
      #expect(throws: Refusal.self) { try projection.check(broken) }
    }
    #expect(throws: Refusal.self) { try projection.check(Tensors()) }
    #expect(throws: Refusal.self) {
      try OneVector(rank: 65_536).layout(of: [Site(id: SiteID("big"), outputs: 1 << 20, inputs: 1 << 20)])
    }
    for (name, value) in [("rank", OptionValue.int(0)), ("bound", .double(0)), ("dropout", .int(1)), ("theta_d_length", .int(0))]
    {
      #expect(throws: Refusal.self) { try Options([name: value], checkedBy: OneVector.options) }
    }
  }
}
