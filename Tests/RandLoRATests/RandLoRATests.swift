import Catalog
import Conformance
import Engine
import PEFTKernel
import Testing

@testable import RandLoRA

@Suite struct RandLoRAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(try conformance()) { Issue.record("\(failure)") }
  }

  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "randlora",
      axes: .init(projection: "random-bases", initialization: "fill", trainable: ["diagonal"]),
      cases: [
        ["rank": .int(4), "alpha": .double(8)],
        [
          "rank": .int(5), "alpha": .double(10), "sqrt_bases": .bool(true), "save_projection": .bool(false),
          "projection_prng_key": .int(3),
        ],
        ["rank": .int(6), "alpha": .double(3), "pairing": .string("basis"), "sparse": .bool(true), "dropout": .double(0.25)],
        // One basis, with more rows than most sites have sides.
        ["rank": .int(20), "alpha": .double(20)],
      ], parameterCount: Self.count)
    // λ and γ start at constants, and the bases have a seed of their own.
    conformance.drawsStart = false
    conformance.learningRate = 5e-2
    conformance.goldens = (0..<3).map { fixture("randlora.\($0)") }
    return conformance
  }

  /// r·N + N·min(out, in).
  @Sendable private static func count(_ sites: [Site], _ options: Options) -> Int {
    let rank = options.int("rank")
    return sites.reduce(0) { sum, site in
      let side = min(site.outputs, site.inputs)
      return sum + (side + rank - 1) / rank * (rank + side)
    }
  }

  /// PEFT's benchmark: q and v of Llama-3.2-3B at rank 32.
  @Test func countIsThatOfTheSpecification() {
    let sites = (0..<28).flatMap { i in
      [(3072, 3072), (1024, 3072)].map { Site(id: SiteID("\(i).\($0.0)"), outputs: $0.0, inputs: $0.1) }
    }
    #expect(Self.count(sites, Options(["rank": .int(32)])) == 9_289_728)
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}

@Suite struct RandomBasesTests {
  static let sites = [
    Site(id: SiteID("small"), outputs: 12, inputs: 9), Site(id: SiteID("wide"), outputs: 7, inputs: 24),
    Site(id: SiteID("tall"), outputs: 20, inputs: 16),
  ]

  func tensors(_ projection: RandomBases, seed: UInt64 = 5) throws -> Tensors {
    var tensors = Tensors()
    for spec in try projection.layout(of: Self.sites) {
      var random = Philox(key: seed).stream(spec.key.description)
      let isTrained = spec.role == .diagonal
      tensors[spec.key] =
        isTrained ? random.normal(spec.shape, deviation: 1, .float64) : spec.fill.tensor(spec.shape, &random, .float64)
    }
    return tensors
  }

  func change(_ projection: RandomBases, _ tensors: Tensors, _ site: Site) throws -> Tensor {
    let base = TensorMap(matrix: .zeros([site.outputs, site.inputs], .float64))
    let prepared = projection.prepare(tensors, Moment(), Bases { _ in base })
    return try projection.change(at: site, prepared, on: base).dense(on: base.matrix)
  }

  /// D = s·Σ_q u_q·v_qᵀ, q = 0 … rN − 1, as the formats' specification writes PEFT's forward; transposed where in is the longer side.
  @Test(arguments: RandomBases.Pairing.allCases) func changeIsTheSum(_ pairing: RandomBases.Pairing) throws {
    let projection = RandomBases(rank: 4, alpha: 6, pairing: pairing)
    let tensors = try tensors(projection)
    let (a, b, width) = (tensors["randlora_A"].values, tensors["randlora_B"].values, tensors["randlora_A"].columns)
    let bases = tensors["randlora_B"].shape[1]
    for site in Self.sites {
      let (side, length) = (min(site.outputs, site.inputs), max(site.outputs, site.inputs))
      let n = (side + 3) / 4
      let (lambda, gamma) = (tensors["randlora_lambda", site.id].values, tensors["randlora_gamma", site.id].values)
      let change = try change(projection, tensors, site).values
      for i in 0..<length {
        for j in 0..<side {
          let sum = (0..<n * 4).reduce(0.0) { sum, q in
            let (k, basis) = (q / n, q % n)
            let column = pairing == .flat ? (q / 4, q % 4) : (basis, k)
            return sum + b[(i * bases + column.0) * 4 + column.1] * lambda[k * n + basis] * a[k * width + j]
              * gamma[basis * side + j]
          }
          let place = site.inputs == side ? i * site.inputs + j : j * site.inputs + i
          #expect(abs(change[place] - 1.5 * sum) < 1e-11)
        }
      }
    }
  }

  @Test func changesHaveFullRank() throws {
    let projection = RandomBases(rank: 3, alpha: 3)
    let tensors = try tensors(projection)
    for site in Self.sites {
      let s = try LinearAlgebra.svd(change(projection, tensors, site)).s
      #expect(s.count { $0 > 1e-9 * s[0] } == min(site.outputs, site.inputs))
    }
  }

  /// Numbers of PEFT's for key 0, rank 5 and sides 16 and 24, from `rng-interop`'s test vectors: over deviations of 0.1455 and 0.2598.
  @Test func denseBasesArePEFTs() throws {
    let site = Site(id: SiteID("site"), outputs: 24, inputs: 16)
    let tensors = try RandomBases(rank: 5).layout(of: [site]).filled(Moment())
    let down = tensors["randlora_A"]
    #expect(down.shape == [5, 1, 16] && tensors["randlora_B"].shape == [24, 4, 5])
    #expect(down.floats[..<3].elementsEqual([-0.01281738, 0.91796875, -1.4140625], by: { abs($0 - $1) < 1e-8 }))
    #expect(tensors["randlora_B"].floats.allSatisfy { $0 == $0.asBFloat16 })
  }

  @Test func basesHaveADeviationOfOne() throws {
    let site = Site(id: SiteID("site"), outputs: 96, inputs: 80)
    for kind in [RandomBases.Kind.dense, .sparse, .verySparse] {
      let tensors = try RandomBases(rank: 8, kind: kind).layout(of: [site]).filled(Moment())
      for name in ["randlora_A", "randlora_B"] {
        let values = tensors[name].values
        let mean = values.reduce(0, +) / Double(values.count)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)
        #expect(abs(variance.squareRoot() - 1) < 5e-3)
        guard kind != .dense else {
          #expect(values.allSatisfy { abs($0) < 1.85 })
          continue
        }
        #expect(Set(values.map { abs($0) }).count == 2)
        let zeros = Double(values.count { $0 == 0 }) / Double(values.count)
        #expect(abs(zeros - (kind == .sparse ? 2.0 / 3 : 1 - 1 / 80.0.squareRoot())) < 0.06)
      }
    }
  }

  /// At the start λ is all 0: it has a gradient, and γ has none.
  @Test func onlyLambdaMovesFirst() throws {
    let projection = RandomBases(rank: 4)
    let site = Self.sites[0]
    var tensors = try projection.layout(of: [site]).filled(Moment())
    for name in ["randlora_lambda", "randlora_gamma"] { tensors[name, site.id] = tensors[name, site.id].tracked() }
    let base = TensorMap(matrix: .zeros([site.outputs, site.inputs]))
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [3]), sites: [site])
    var random = Philox(key: 8)
    let x = random.normal([3, site.inputs], deviation: 1)
    let prepared = projection.prepare(tensors, Moment(), Bases { _ in base })
    let y = projection.output(SiteCall(site: site, input: x, base: base, pass: pass), prepared)
    Tensor.backward([(y, Tensor(repeating: 1, shape: y.shape))])
    #expect(try #require(tensors["randlora_lambda", site.id].gradient).largestMagnitude > 0)
    #expect(try #require(tensors["randlora_gamma", site.id].gradient).largestMagnitude == 0)
    #expect(tensors["randlora_gamma", site.id].values.allSatisfy { abs($0 - 1 / 9.0) < 1e-7 })
  }
}
