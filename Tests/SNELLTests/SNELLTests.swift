import Blocks
import Engine
import PEFTKernel
import Testing

@testable import SNELL

private let wide = Site(id: SiteID("wide"), outputs: 24, inputs: 20)
private let odd = Site(id: SiteID("odd"), outputs: 17, inputs: 33, hasBias: true)

/// One site with factors far from their start.
private struct Problem {
  var projection: MergedDistances
  var site: Site
  var tensors: Tensors
  var base: FrozenMap
  var x: Tensor

  init(_ projection: MergedDistances, _ site: Site) throws {
    self.projection = projection
    self.site = site
    var random = Philox(key: 4)
    tensors = try projection.layout(of: [site]).filled(Moment(seed: 2), .float64)
    for (key, tensor) in tensors.values.sorted(by: { $0.key.description < $1.key.description }) {
      tensors[key] = tensor + random.normal(tensor.shape, deviation: 0.5, .float64)
    }
    let weight = random.normal([site.outputs, site.inputs], deviation: 0.2, .float64)
    base = FrozenMap(
      matrix: FrozenMatrix(weight), bias: site.hasBias ? random.normal([site.outputs], deviation: 1, .float64) : nil)
    x = random.normal([5, site.inputs], deviation: 1, .float64)
  }

  func prepared(_ tensors: Tensors? = nil) -> Tensors {
    projection.prepare(tensors ?? self.tensors, Moment(), Bases { [base] _ in base })
  }

  func change(_ tensors: Tensors? = nil) throws -> Tensor {
    try projection.change(at: site, prepared(tensors), on: base).dense(on: base.weight(as: .float64))
  }

  func output(_ tensors: Tensors, _ now: Moment = Moment(), _ x: Tensor? = nil, base: (any BaseMap)? = nil) -> Tensor {
    let pass = Pass(now: now, rows: RowLayout(lengths: [2, 3]), sites: [site])
    let call = SiteCall(site: site, input: x ?? self.x, base: base ?? self.base, pass: pass)
    return projection.output(call, projection.prepare(tensors, now, Bases { [self] _ in self.base }))
  }
}

private func distance(_ a: Tensor, _ b: Tensor) -> Double { (a.detached - b.detached).largestMagnitude }

@Suite struct SNELLTests {
  /// N − 1 − ⌊s(N−1)⌋ of N entries survive, and by any measure of size they are the largest.
  @Test func theLargestSurvive() throws {
    for (site, rank, sparsity, survivors) in [(wide, 8, 0.6, 192), (odd, 6, 0.9, 56)] {
      for gate in MergedDistances.Gate.allCases {
        let problem = try Problem(MergedDistances(rank: rank, sparsity: sparsity, gate: gate), site)
        let whole = try Problem(MergedDistances(rank: rank, sparsity: 0), site).change().values
        let change = try problem.change().values
        #expect(change.count { $0 != 0 } == survivors)
        let smallest = zip(whole, change).filter { $0.1 != 0 }.map { abs($0.0) }.min() ?? 0
        #expect(zip(whole, change).allSatisfy { $0.1 != 0 || abs($0.0) < smallest })
        #expect(zip(whole, change).allSatisfy { $0.0 * $0.1 >= 0 })
      }
    }
  }

  @Test func rankIsFull() throws {
    for (site, rank, sparsity) in [(wide, 8, 0.6), (odd, 4, 0)] {
      let change = try Problem(MergedDistances(rank: rank, sparsity: sparsity), site).change()
      let values = try LinearAlgebra.svd(change).s
      #expect(values.count { $0 > 1e-9 * values[0] } == min(site.outputs, site.inputs))
    }
  }

  /// Only differences count.
  @Test func translatedFactorsMergeToTheSame() throws {
    let problem = try Problem(MergedDistances(rank: 6, sparsity: 0.7), odd)
    var moved = problem.tensors
    let step = Tensor([0.25, -1, 0.5], .float64)
    for key in moved.values.keys { moved[key] = moved[key].addingRow(step) }
    #expect(try distance(problem.change(), problem.change(moved)) < 1e-15)

    var leaves = problem.tensors
    for key in leaves.values.keys { leaves[key] = leaves[key].tracked() }
    problem.output(leaves).sum.backward()
    var sum = [Double](repeating: 0, count: 6)
    for leaf in leaves.values.values {
      let gradient = try #require(leaf.gradient)
      #expect(gradient.largestMagnitude > 0)
      for (i, value) in gradient.values.enumerated() { sum[i / (gradient.count / 2) * 3 + i % 3] += value }
    }
    #expect(sum.allSatisfy { abs($0) < 1e-12 })
  }

  @Test func swappedPiecesTurnTheSign() throws {
    let problem = try Problem(MergedDistances(rank: 4, sparsity: 0.5), odd)
    var swapped = problem.tensors
    for key in swapped.values.keys {
      let tensor = swapped[key]
      swapped[key] = .joinedRows([tensor.slice(rows: 1..<2), tensor.slice(rows: 0..<1)])
    }
    #expect(try distance(problem.change() * -1, problem.change(swapped)) == 0)
  }

  /// Differentiating D·|D| would give twice the prescribed gradient.
  @Test func theGateIsAConstant() throws {
    let problem = try Problem(MergedDistances(rank: 4, sparsity: 0.5), wide)
    let key = TensorKey("snell_A", wide.id)
    var leaves = problem.tensors
    leaves[key] = leaves[key].tracked()
    problem.output(leaves).sum.backward()
    let gradient = try #require(leaves[key].gradient).values
    for i in stride(from: 0, to: gradient.count, by: 13) {
      func value(_ step: Double) -> Double {
        var moved = problem.tensors
        var values = moved[key].values
        values[i] += step
        moved[key] = Tensor(values, shape: moved[key].shape, .float64)
        return problem.output(moved).sum.item
      }
      let difference = (value(1e-6) - value(-1e-6)) / 2e-6
      #expect(abs(difference - 2 * gradient[i]) < 1e-6 * max(1, abs(difference)))
    }
  }

  /// The forward pass, the merge, and another forward pass: the very same numbers, one product or two.
  @Test(arguments: [0, 0.6]) func recomputationRepeatsEveryBit(sparsity: Double) throws {
    let problem = try Problem(MergedDistances(rank: 8, sparsity: sparsity), odd)
    #expect(try problem.change().values == problem.change().values)
    let narrow = Tensors(problem.tensors.values.mapValues { $0.converted(to: .float32) })
    #expect(
      try problem.projection.change(at: odd, problem.prepared(narrow), on: problem.base).chains[0][0].dense().floats
        == problem.projection.change(at: odd, problem.prepared(narrow), on: problem.base).chains[0][0].dense().floats)
    let weight = problem.base.weight(as: .float64)
    let expected = problem.x.linear(weight + (try problem.change()), bias: problem.base.bias)
    #expect(distance(problem.output(problem.tensors), expected) < 1e-13)
    // A base that cannot be cut into rows: two products.
    let turned = TensorMap(matrix: weight.transposed, bias: problem.base.bias, isTransposed: true)
    #expect(distance(problem.output(problem.tensors, base: turned), expected) < 1e-13)
  }

  @Test func startsWithinItsBound() throws {
    for (site, sparsity) in [(wide, 0.9), (odd, 0.9), (wide, 0), (odd, 0)] {
      let projection = MergedDistances(rank: 8, sparsity: sparsity)
      var problem = try Problem(projection, site)
      problem.tensors = try projection.layout(of: [site]).filled(Moment(seed: 3), .float64)
      let root = 1 / Double(site.inputs).squareRoot() + 1 / Double(site.outputs).squareRoot()
      let bound = sparsity > 0 ? 0.01 * root * root : 0.1 * root
      let largest = try problem.change().largestMagnitude
      #expect(largest > 0 && largest <= bound)
    }
  }

  /// Dropped sequences are the base's; the others have all of the update, and more.
  @Test func dropsWholeSequences() throws {
    let problem = try Problem(MergedDistances(rank: 4, sparsity: 0.5, dropPath: 0.5), wide)
    let base = problem.base(problem.x)
    let update = problem.x.linear(try problem.change()) * 2
    var seen: Set<[Bool]> = []
    for step in 0..<20 {
      let y = problem.output(problem.tensors, Moment(mode: .training, seed: 1, step: step))
      seen.insert(
        [0..<2, 2..<5].map { rows in
          let (own, unchanged) = (y.slice(rows: rows), base.slice(rows: rows))
          if distance(own, unchanged) < 1e-14 { return false }
          #expect(distance(own, unchanged + update.slice(rows: rows)) < 1e-13)
          return true
        })
    }
    #expect(seen.count == 4)
    #expect(distance(problem.output(problem.tensors), base + update * 0.5) < 1e-13)
  }

  @Test func refusesWhatCannotBe() throws {
    func make(_ given: [String: OptionValue]) throws {
      _ = try MergedDistances.definition.make(Options(given, checkedBy: MergedDistances.options))
    }
    try make([:])
    for wrong: [String: OptionValue] in [
      ["rank": .int(7)], ["rank": .int(0)], ["sparsity": .int(1)], ["scale": .int(0)], ["gate": .string("none")],
      ["drop_path": .int(1)], ["input_dropout": .double(-0.1)],
    ] {
      #expect(throws: Refusal.self, "\(wrong)") { try make(wrong) }
    }
  }
}
