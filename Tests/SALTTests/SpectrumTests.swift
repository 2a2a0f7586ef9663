import Blocks
import Engine
import PEFTKernel
import Testing

@testable import SALT

/// A weight, the adapter's projection over it and a point off its start, in double.
struct SpectrumProblem {
  let site: Site
  let weight: Tensor
  let projection: Spectrum
  let layout: [TensorSpec]
  var tensors: Tensors

  init(_ projection: Spectrum, outputs: Int = 12, inputs: Int = 15, moved: Bool = true, key: UInt64 = 4) throws {
    var random = Philox(key: key)
    self.projection = projection
    site = Site(id: SiteID("layers.0.q"), outputs: outputs, inputs: inputs)
    weight = random.normal([outputs, inputs], deviation: 0.4, .float64)
    layout = try projection.layout(of: [site])
    // The basis in double, so that it is that of the weight to the last digit.
    let (u, s, v) = try LinearAlgebra.svd(weight)
    tensors = layout.filled(Moment(seed: 2), .float64)
    (tensors["svd_u", site.id], tensors["svd_s", site.id], tensors["svd_vt", site.id]) = (u, Tensor(s, .float64), v)
    guard moved else { return }
    for spec in layout where spec.role != .basis {
      tensors[spec.key] = tensors[spec.key] + random.normal(spec.shape, deviation: 0.5, .float64)
    }
  }

  /// The same over another weight.
  init(_ other: SpectrumProblem, weight: Tensor) {
    (site, projection, layout, tensors) = (other.site, other.projection, other.layout, other.tensors)
    self.weight = weight
  }

  var base: TensorMap { TensorMap(matrix: weight) }
  var basis: (u: Tensor, s: Tensor, v: Tensor) {
    (tensors["svd_u", site.id], tensors["svd_s", site.id], tensors["svd_vt", site.id])
  }
  var top: Int { tensors["salt_scale", site.id].count }

  func prepared(_ tensors: Tensors) -> Tensors { projection.prepare(tensors, Moment(), Bases { [base] _ in base }) }

  func output(_ tensors: Tensors, _ x: Tensor, observer: (any PairObserver)? = nil) -> Tensor {
    let pass = Pass(now: Moment(mode: .training), rows: RowLayout(lengths: [x.rows]), sites: [site], observer: observer)
    return projection.output(SiteCall(site: site, input: x, base: base, pass: pass), prepared(tensors))
  }

  func change(_ tensors: Tensors) throws -> Tensor {
    try projection.change(at: site, prepared(tensors), on: base).dense(on: weight)
  }

  /// ρ(K) as the definition writes it, entry by entry.
  var core: Tensor {
    let (k, p) = (basis.s.count, top)
    let (alpha, beta, s) = (tensors["salt_scale", site.id].values, tensors["salt_shift", site.id].values, basis.s.values)
    var entries = [Double](repeating: 0, count: k * k)
    for i in 0..<p { entries[i * k + i] = alpha[i] * s[i] + beta[i] }
    if let x = tensors.optional("lora_X", site.id), let y = tensors.optional("lora_Y", site.id) {
      let (a, b, r) = (x.values, y.values, x.columns)
      for i in 0..<k - p {
        for j in 0..<k - p {
          let mixed = (0..<r).reduce(0.0) { $0 + a[i * r + $1] * b[$1 * (k - p) + j] }
          entries[(p + i) * k + p + j] = mixed + (i == j ? s[p + i] : 0)
        }
      }
    }
    return Tensor(projection.clips ? entries.map { max(0, $0) } : entries, shape: [k, k], .float64)
  }

  /// U·ρ(K)·V.
  var merged: Tensor { basis.u.multiplied(by: core).multiplied(by: basis.v) }

  func gradients(_ x: Tensor, _ dy: Tensor) -> Tensors {
    var tracked = tensors
    for spec in layout where spec.role != .basis { tracked[spec.key] = tracked[spec.key].tracked() }
    Tensor.backward([(output(tracked, x), dy)])
    return Tensors(
      Dictionary(
        uniqueKeysWithValues: layout.filter { $0.role != .basis }.map {
          ($0.key, tracked[$0.key].gradient ?? .zeros($0.shape, .float64))
        }))
  }
}

/// What the spec states about SALT's change.
@Suite struct SpectrumTests {
  static let projections: [Spectrum] = [
    Spectrum(top: .count(4), rank: 3), Spectrum(top: .count(4), rank: 3, clips: false), Spectrum(top: .count(12), rank: 3),
    Spectrum(top: .count(12), rank: 3, clips: false), Spectrum(top: .share(0.1), rank: 2),
  ]

  func batch(_ problem: SpectrumProblem, rows: Int = 5) -> (x: Tensor, dy: Tensor) {
    var random = Philox(key: 17)
    return (
      random.normal([rows, problem.site.inputs], deviation: 1, .float64),
      random.normal([rows, problem.site.outputs], deviation: 1, .float64)
    )
  }

  @Test(arguments: projections.indices) func computesTheDefinition(_ index: Int) throws {
    for (outputs, inputs) in [(12, 15), (20, 12)] {
      let problem = try SpectrumProblem(Self.projections[index], outputs: outputs, inputs: inputs)
      #expect((try problem.change(problem.tensors) + problem.weight - problem.merged).largestMagnitude < 1e-12)
      let x = batch(problem).x
      #expect((problem.output(problem.tensors, x) - x.multiplied(byTransposeOf: problem.merged)).largestMagnitude < 1e-12)
    }
  }

  /// With many rows the change is formed once; that is the same map, with the same slopes.
  @Test func formedAndFactoredAgree() throws {
    let problem = try SpectrumProblem(Spectrum(top: .count(3), rank: 2))
    #expect(!problem.projection.forms(4, at: problem.site) && problem.projection.forms(400, at: problem.site))
    let (x, dy) = batch(problem, rows: 4)
    let copies = 100
    let many = problem.gradients(
      .joinedRows(Array(repeating: x, count: copies)), .joinedRows(Array(repeating: dy, count: copies)))
    let few = problem.gradients(x, dy)
    for (key, slope) in few.values {
      #expect((slope * Double(copies) - many[key]).largestMagnitude < 1e-9 * (1 + many[key].largestMagnitude), "\(key)")
    }
  }

  @Test(arguments: [true, false]) func stepZeroIsTheBaseAndXDoesNotMove(_ clips: Bool) throws {
    let problem = try SpectrumProblem(Spectrum(top: .count(4), rank: 3, clips: clips), moved: false)
    #expect(try problem.change(problem.tensors).largestMagnitude == 0)
    let (x, dy) = batch(problem)
    let slopes = problem.gradients(x, dy)
    #expect(slopes["lora_X", problem.site.id].largestMagnitude == 0)
    // D = (dy·U)ᵀ·(x·Vᵀ); off its diagonal the ReLU passes nothing, since X·Y is 0 there.
    let (u, _, v) = problem.basis
    let d = dy.multiplied(by: u).transposed.multiplied(by: x.multiplied(byTransposeOf: v))
    var rest = d.slice(rows: 4..<12).slice(columns: 4..<12)
    if clips { rest = rest * .identity(8, .float64) }
    let expected = problem.tensors["lora_X", problem.site.id].transposed.multiplied(by: rest)
    #expect((slopes["lora_Y", problem.site.id] - expected).largestMagnitude < 1e-12)
    // dα = σ_top ⊙ diag(D), dβ = diag(D).
    let diagonal = (0..<4).map { d.values[$0 * 12 + $0] }
    #expect((slopes["salt_shift", problem.site.id] - Tensor(diagonal, .float64)).largestMagnitude < 1e-12)
    let weighted = zip(diagonal, problem.basis.s.values).map(*)
    #expect((slopes["salt_scale", problem.site.id] - Tensor(weighted, .float64)).largestMagnitude < 1e-12)
  }

  @Test(arguments: [true, false]) func topAndRestDoNotMix(_ clips: Bool) throws {
    let problem = try SpectrumProblem(Spectrum(top: .count(4), rank: 3, clips: clips))
    let (u, _, v) = problem.basis
    let change = try problem.change(problem.tensors)
    let core = u.transposed.multiplied(by: problem.weight + change).multiplied(byTransposeOf: v)
    #expect(core.slice(rows: 0..<4).slice(columns: 4..<12).largestMagnitude < 1e-12)
    #expect(core.slice(rows: 4..<12).slice(columns: 0..<4).largestMagnitude < 1e-12)
    if clips {
      #expect(core.values.allSatisfy { $0 > -1e-12 })
    } else {
      #expect(try LinearAlgebra.svd(change).s[7] < 1e-12)
    }
  }

  /// A direction scaled below zero is gone, and nothing calls it back.
  @Test func directionsBelowZeroAreRemoved() throws {
    var problem = try SpectrumProblem(Spectrum(top: .count(4), rank: 3))
    problem.tensors["salt_shift", problem.site.id] = Tensor([0.1, -9, 0.2, 0], .float64)
    let (u, _, v) = problem.basis
    let core = u.transposed.multiplied(by: problem.weight + (try problem.change(problem.tensors))).multiplied(byTransposeOf: v)
    #expect(abs(core.values[13]) < 1e-12)
    let (x, dy) = batch(problem)
    let slopes = problem.gradients(x, dy)
    #expect(slopes["salt_scale", problem.site.id].values[1] == 0 && slopes["salt_shift", problem.site.id].values[1] == 0)
    #expect(slopes["salt_shift", problem.site.id].values[0] != 0)
  }

  @Test func countsOfThePaper() throws {
    func count(_ projection: Spectrum, _ outputs: Int, _ inputs: Int) throws -> Int {
      try projection.layout(of: [Site(id: SiteID("s"), outputs: outputs, inputs: inputs)]).reduce(0) {
        $0 + ($1.role == .basis ? 0 : $1.count)
      }
    }
    #expect(try count(Spectrum(top: .count(6), rank: 3), 24, 20) == 96)
    #expect(try count(Spectrum(top: .count(5), rank: 4), 17, 33) == 106)
    #expect(try count(Spectrum(top: .count(76), rank: 256), 768, 768) == 354_456)
    #expect(try count(Spectrum(top: .share(0.1), rank: 256), 768, 768) == 354_456)
    #expect(try count(Spectrum(top: .count(760), rank: 256), 768, 768) == 5616)
  }

  /// λ·Σ (‖(α − 1) ⊙ σ + β‖₂ + ‖X·Y‖_F), before the cut and once over all sites.
  @Test(arguments: [true, false]) func penaltyIsTheSpecs(_ clips: Bool) throws {
    let problem = try SpectrumProblem(Spectrum(top: .count(4), rank: 3, clips: clips, penaltyWeight: 0.25))
    let t = problem.tensors
    let (alpha, beta) = (t["salt_scale", problem.site.id].values, t["salt_shift", problem.site.id].values)
    let free = (0..<4).reduce(0.0) { sum, i in
      let entry = (alpha[i] - 1) * problem.basis.s.values[i] + beta[i]
      return sum + entry * entry
    }
    let mixed = t["lora_X", problem.site.id].multiplied(by: t["lora_Y", problem.site.id]).sumOfSquares
    let penalty = try #require(problem.projection.penalty(problem.prepared(t), Moment()))
    #expect(abs(penalty.item - 0.25 * (free.squareRoot() + mixed.squareRoot())) < 1e-12)
    let still = try SpectrumProblem(problem.projection, moved: false)
    #expect(try #require(problem.projection.penalty(still.prepared(still.tensors), Moment())).item == 0)
    #expect(Spectrum().penalty(problem.prepared(t), Moment()) == nil)
  }

  final class Watcher: PairObserver, @unchecked Sendable {
    var seen: [Pair: Tensor] = [:]
    func saw(_ pair: Pair, u: Tensor, v: Tensor) { seen[pair] = v.transposed.multiplied(by: u) }
  }

  /// What an observer of the pair is shown is ∂loss/∂(X·Y): X's slope is that times Yᵀ, Y's Xᵀ times it.
  @Test(arguments: [(true, 5), (true, 400), (false, 5)]) func observersSeeTheProductsGradient(_ clips: Bool, _ rows: Int) throws {
    let problem = try SpectrumProblem(Spectrum(top: .count(4), rank: 3, clips: clips))
    let (x, dy) = batch(problem, rows: rows)
    let watcher = Watcher()
    Tensor.backward([(problem.output(problem.tensors, x.tracked(), observer: watcher), dy)])
    var tracked = problem.tensors
    for spec in problem.layout where spec.role != .basis { tracked[spec.key] = tracked[spec.key].tracked() }
    let watched = Watcher()
    Tensor.backward([(problem.output(tracked, x, observer: watched), dy)])
    let pair = try #require(problem.layout.compactMap(\.role.pair).first)
    let slopes = problem.gradients(x, dy)
    for g in [try #require(watched.seen[pair]), try #require(watcher.seen[pair])] {
      let (ofX, ofY) = (slopes["lora_X", problem.site.id], slopes["lora_Y", problem.site.id])
      let byX = g.multiplied(byTransposeOf: problem.tensors["lora_Y", problem.site.id])
      let byY = problem.tensors["lora_X", problem.site.id].transposed.multiplied(by: g)
      #expect((byX - ofX).largestMagnitude < 1e-10 * (1 + ofX.largestMagnitude))
      #expect((byY - ofY).largestMagnitude < 1e-10 * (1 + ofY.largestMagnitude))
    }
    for spec in problem.layout where spec.role != .basis {
      let same = try #require(tracked[spec.key].gradient) - slopes[spec.key]
      #expect(same.largestMagnitude < 1e-10 * (1 + slopes[spec.key].largestMagnitude))
    }
  }
}
