import Blocks
import Engine
import PEFTKernel
import Testing

@testable import UniLoRA

/// One site [12, 8] at rank 2: D = 40.
private let (outputs, inputs, rank) = (12, 8, 2)
private let positions = rank * (inputs + outputs)

/// Every member of the family, of random frozen tensors.
private func family() -> [(name: String, map: any FactorMap)] {
  var random = Philox(key: 2)
  func draw(_ shape: [Int]) -> Tensor { random.normal(shape, deviation: 1, .float64) }
  var shuffle = PhiloxShuffle(source: random)
  let index = Assignment.balanced(positions, 7, &shuffle)
  return [
    ("lora", LoRAView(positions: positions)),
    ("vera", VeRAView(down: draw([rank, inputs]), up: draw([outputs, rank]))),
    ("lora-xs", LoRAXSView(left: draw([outputs, rank]), right: draw([rank, inputs]))),
    ("vb-lora", VBLoRAView(mixDown: draw([4, 5]), mixUp: draw([6, 5]), width: 4, rank: rank)),
    ("uni-lora", ScaledGather(index: index, norms: Assignment.norms(index, length: 7))),
    ("fastfood", fastfood(positions: positions, length: 11)),
    ("fastfood, one block", oneBlock(positions: positions, length: 11)),
    ("gaussian", DenseMap(values: draw([positions, 6]))),
  ]
}

private func fastfood(positions: Int, length: Int, seed: UInt64 = 1) -> Fastfood {
  let specs = Fastfood.specs(positions: positions, length: length, Philox(key: seed))
  return Fastfood(specs.filled(Moment(), .float64), positions: positions, length: length)
}

/// With a block that holds all of θ_D, as the textbook has it.
private func oneBlock(positions: Int, length: Int, seed: UInt64 = 1) -> Fastfood {
  let wide = fastfood(positions: positions, length: positions, seed: seed)
  return Fastfood(
    length: length, positions: positions, signs: wide.signs, permutation: wide.permutation, gaussian: wide.gaussian)
}

private func diagonal(_ matrix: Tensor) -> [Double] { (0..<matrix.rows).map { matrix.values[$0 * matrix.columns + $0] } }

@Suite struct FactorMapTests {
  /// ⟨P·u, v⟩ = ⟨u, Pᵀ·v⟩, and P as a matrix does what `project` does.
  @Test func adjoints() throws {
    var random = Philox(key: 3)
    for (name, map) in family() {
      try map.check()
      #expect(map.positions == positions, "\(name)")
      let (u, v) = (random.normal([map.length], deviation: 1, .float64), random.normal([map.positions], deviation: 1, .float64))
      let image = map.project(u) - map.constant
      let (left, right) = ((image * v).sum.item, (u * map.adjoint(v)).sum.item)
      #expect(abs(left - right) < 1e-12 * max(1, abs(left)), "\(name)")
      let product = map.matrix ⋅ u.reshaped([map.length, 1])
      #expect((product.reshaped([positions]) - image).largestMagnitude < 1e-12, "\(name)")
      #expect((map.constant.largestMagnitude > 0) == (name == "lora-xs"), "\(name)")
    }
  }

  /// PᵀP as the paper's table has it.
  @Test func grams() throws {
    for (name, map) in family() {
      let gram = map.matrix.t ⋅ map.matrix
      let expected: Tensor
      switch map {
      case is LoRAView, is ScaledGather: expected = .identity(map.length, .float64)
      case let map as VeRAView:
        let lengths = map.down.rowEnergies.values + map.up.rowEnergies.values
        expected = Tensor.identity(map.length, .float64).multipliedByRow(Tensor(lengths, .float64))
      case let map as LoRAXSView: expected = kronecker(map.left.t ⋅ map.left, rank)
      case let map as VBLoRAView:
        let mix = Tensor.joinedRows([map.mixDown, map.mixUp])
        expected = kronecker(mix.t ⋅ mix, map.width)
      default: continue
      }
      #expect((gram - expected).largestMagnitude < 1e-12, "\(name)")
    }
  }

  /// M ⊗ I_n.
  private func kronecker(_ matrix: Tensor, _ n: Int) -> Tensor {
    let (m, values) = (matrix.rows * n, matrix.values)
    return Tensor(
      (0..<m * m).map { $0 / m % n == $0 % m % n ? values[$0 / m / n * matrix.columns + $0 % m / n] : 0 }, shape: [m, m], .float64
    )
  }

  /// c·H·G·Π·H·Z, multiplied out block by block.
  @Test func fastfoodIsItsFormula() throws {
    for map in [fastfood(positions: positions, length: 11), oneBlock(positions: positions, length: 11)] {
      let (blocks, size) = (map.gaussian.rows, map.gaussian.columns)
      #expect([blocks, size] == (blocks == 1 ? [1, 64] : [3, 16]))
      func walsh(_ i: Int, _ j: Int) -> Double { (i & j).nonzeroBitCount % 2 == 0 ? 1 : -1 }
      let (g, z, p) = (map.gaussian.values, map.signs.values, map.permutation.values)
      let energy = g.reduce(0) { $0 + $1 * $1 }
      let scale = 1 / (Double(size) * energy * Double(positions) / Double(blocks * size)).squareRoot()
      let expected = (0..<positions * map.length).map { entry -> Double in
        let (row, j) = (entry / map.length, entry % map.length)
        let (start, i) = (row / size * size, row % size)
        return scale * z[start + j]
          * (0..<size).reduce(0) { $0 + walsh(i, $1) * g[start + $1] * walsh(Int(p[start + $1]), j) }
      }
      #expect((map.matrix - Tensor(expected, shape: [positions, map.length], .float64)).largestMagnitude < 1e-12)
    }
  }

  /// The diagonal of PᵀP is 1 but for the part of a block that θ_D has no use for. That part is small in a stack of blocks; of one
  /// block of 1024 for 800 numbers it is a fifth, and NumPy finds 0.91...1.07 in sixty draws of the same form.
  @Test(arguments: 1...8) func fastfoodIsNearlyIsometric(_ seed: Int) {
    for (map, bounds) in [
      (fastfood(positions: 800, length: 50, seed: UInt64(seed)), 0.95...1.06),
      (oneBlock(positions: 800, length: 50, seed: UInt64(seed)), 0.9...1.1),
    ] {
      let gram = map.matrix.t ⋅ map.matrix
      #expect(diagonal(gram).allSatisfy { bounds.contains($0) })
      #expect((gram - Tensor.identity(50, .float64)).largestMagnitude < 0.25)
    }
    let whole = fastfood(positions: 1024, length: 64, seed: UInt64(seed)).matrix
    #expect(diagonal(whole.t ⋅ whole).allSatisfy { abs($0 - 1) < 1e-12 })
  }

  @Test func denseDrawsAreNearlyIsometric() throws {
    let specs = try DenseMap.specs(positions: 800, length: 50, Philox(key: 4))
    let matrix = DenseMap(values: specs.filled(Moment(), .float64)["unilora_gaussian"]).matrix
    #expect(diagonal(matrix.t ⋅ matrix).allSatisfy { (0.8...1.2).contains($0) })
  }

  /// O(D log d) time and O(D) memory: P of these sizes would take 64 times as long, and hold 64 times as much, for 64 times the d.
  @Test func fastfoodIsFast() {
    let clock = ContinuousClock()
    func cost(_ positions: Int, _ length: Int) -> (time: Double, bytes: Int) {
      let map = fastfood(positions: positions, length: length)
      let converted = Fastfood(
        length: length, positions: positions, signs: map.signs.converted(to: .float32), permutation: map.permutation,
        gaussian: map.gaussian.converted(to: .float32))
      let theta = Tensor(repeating: 1, shape: [length])
      var (best, bytes) = (Duration.seconds(1000), 0)
      for _ in 0..<5 {
        best = min(best, clock.measure { bytes = MemoryMeter.measure { converted.project(theta) }.peak })
      }
      return (best / .milliseconds(1), bytes)
    }
    let (small, large) = (cost(1 << 16, 64), cost(1 << 16, 4096))
    #expect(large.time < 8 * small.time)
    for (_, bytes) in [small, large] { #expect(bytes < 4 * 6 << 16) }
    let longer = cost(1 << 18, 64)
    #expect(longer.time < 12 * small.time)
    #expect(longer.bytes < 4 * 6 << 18)
  }

  @Test(arguments: OneVector.Map.allCases) func modelsOfSeveralSites(_ map: OneVector.Map) throws {
    let sites = [
      Site(id: SiteID("b.query"), outputs: 13, inputs: 10), Site(id: SiteID("a.query"), outputs: 7, inputs: 10),
    ]
    let projection = OneVector(rank: 3, length: 31, map: map)
    let layout = try projection.layout(of: sites)
    #expect(layout.filter { $0.keep == .stored }.map(\.key.description) == ["unilora_theta_d"])
    let stored = layout.filled(Moment(seed: 5), .float64)
    try projection.check(stored)
    let prepared = projection.prepare(stored, Moment(), Bases(weights: [:]))
    for site in sites {
      #expect(prepared["A", site.id].shape == [3, site.inputs] && prepared["B", site.id].shape == [site.outputs, 3])
    }
    let all = sites.flatMap { prepared["A", $0.id].values + prepared["B", $0.id].values }
    let theta = stored["unilora_theta_d"]
    let ratio = all.reduce(0) { $0 + $1 * $1 } / theta.sumOfSquares
    #expect((0.3...2).contains(ratio))
    if map != .uniform {
      // θ_D is in the order of the sites, A before B.
      let places = FactorPlace.all(in: stored)
      let whole = projection.factorMap(of: stored, places, length: 31).project(theta)
      #expect(whole.values == all)
    }
    let others = try OneVector(rank: 3, length: 31, map: map, seed: 43).layout(of: sites)
    let again = try projection.layout(of: sites)
    #expect(others != layout && layout == again)
    #expect(try projection.layout(of: sites.reversed()) != layout)
  }

  @Test func whatMakesNoMapIsRefused() throws {
    let sites = [Site(id: SiteID("a"), outputs: 13, inputs: 10)]
    func refused(_ map: OneVector.Map, _ key: TensorKey, _ change: (inout [Double]) -> Void) throws -> Bool {
      let projection = OneVector(rank: 3, length: 11, map: map)
      var stored = try projection.layout(of: sites).filled(Moment(), .float64)
      var values = stored[key].values
      change(&values)
      stored[key] = Tensor(values, shape: stored[key].shape, .float64)
      do throws(Refusal) { try projection.check(stored) } catch { return true }
      return false
    }
    let (permutation, place) = (TensorKey("unilora_permutation"), TensorKey("unilora_place_A", sites[0].id))
    for wrong in [16.0, -1, 0.5, .nan, .infinity] {
      #expect(try refused(.fastfood, permutation) { $0[20] = wrong })
      #expect(try refused(.fastfood, TensorKey("unilora_signs")) { $0[20] = wrong } == (wrong != -1))
      for i in 0..<3 { #expect(try refused(.gaussian, place) { $0[i] = wrong }) }
    }
    #expect(try refused(.fastfood, permutation) { $0[20] = $0[21] })
    #expect(try refused(.fastfood, place) { $0[0] = 1 })
    #expect(try refused(.fastfood, place) { $0[1] = 200 })
    #expect(try refused(.gaussian, place) { $0[1] = 4 })
    #expect(try refused(.gaussian, TensorKey("unilora_gaussian")) { $0[7] = .nan })
    #expect(try refused(.fastfood, TensorKey("unilora_gaussian")) { $0 = $0.map { _ in 0 } })
    #expect(try !refused(.fastfood, place) { _ in })
    #expect(throws: Refusal.self) { try OneVector(rank: 4, length: 1 << 22, map: .gaussian).layout(of: sites) }
    #expect(throws: Refusal.self) {
      try OneVector(rank: 64, map: .gaussian).layout(of: [Site(id: SiteID("big"), outputs: 1 << 20, inputs: 1 << 20)])
    }
  }

  @Test func anIndexListsOptionsBelongToIt() throws {
    for map in OneVector.Map.allCases {
      for (name, value) in [("index_generator", OptionValue.string("numpy")), ("save_indices", .bool(true))] {
        let options = try Options(["map": .string(map.rawValue), name: value], checkedBy: OneVector.options)
        if map == .uniform {
          #expect(try OneVector(options).map == .uniform)
        } else {
          let refusal = #expect(throws: Refusal.self) { try OneVector(options) }
          #expect(refusal?.description.contains(name) == true && refusal?.description.contains(map.rawValue) == true)
        }
      }
    }
  }
}
