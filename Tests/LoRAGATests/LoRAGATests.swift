import Blocks
import Engine
import PEFTKernel
import Testing

@testable import LoRAGA

/// What the paper states about the start, with gradients whose singular vectors are known by construction.
struct GradientVectorsTests {
  let site = Site(id: SiteID("layers.0.q"), outputs: 12, inputs: 10)
  let projection = LowRank(rank: 3, alpha: 6, scaling: .rslora)

  /// G = U·diag(σ)·Vᵀ.
  struct Known {
    var u: Tensor
    var s: [Double]
    var v: Tensor

    init(_ site: Site, key: UInt64 = 5) throws {
      var random = Philox(key: key)
      let k = min(site.outputs, site.inputs)
      u = try LinearAlgebra.qr(random.normal([site.outputs, k], deviation: 1, .float64)).q
      v = try LinearAlgebra.qr(random.normal([site.inputs, k], deviation: 1, .float64)).q
      s = (0..<k).map { 3 / Double($0 + 1) }
    }

    func product(_ columns: Range<Int>) -> Tensor {
      let weighted = u.slice(columns: columns).multipliedByRow(Tensor(Array(s[columns]), .float64))
      return weighted.multiplied(byTransposeOf: v.slice(columns: columns))
    }
    var gradient: Tensor { product(0..<s.count) }
  }

  func strategy(_ options: [String: OptionValue] = [:]) throws -> any InitStrategy {
    try GradientVectors.definition.make(Options(options, checkedBy: GradientVectors.definition.options))
  }

  var weight: Tensor {
    var random = Philox(key: 9)
    return random.normal([site.outputs, site.inputs], deviation: 0.3, .float64)
  }

  func start(_ options: [String: OptionValue] = [:], _ gradient: Tensor?, seed: UInt64 = 1) throws -> Start {
    let evidence = Evidence(weight: { [weight] _ in weight }, gradients: gradient.map { [site.id: $0] } ?? [:])
    return try strategy(options).start(projection.layout(of: [site]), [site], projection, evidence, Moment(seed: seed))
  }

  func factors(_ start: Start) -> (down: Tensor, up: Tensor) {
    (
      start.tensors["lora_A.weight", site.id].converted(to: .float64),
      start.tensors["lora_B.weight", site.id].converted(to: .float64)
    )
  }

  static let directions = ["ArB2r", "A2rBr", "ArBr", "random"]
  static let scales = ["stable", "gd", "unit", "weight_svd"]

  @Test(arguments: directions, scales) func firstStepIsTheBestApproximation(_ direction: String, _ scale: String) throws {
    let known = try Known(site)
    let start = try start(["direction": .string(direction), "scale": .string(scale)], known.gradient)
    let (a, b) = factors(start)
    // Rows of A₀ and columns of B₀ are orthogonal and of one length c.
    let c = try expectedLength(scale)
    let square = Tensor.identity(3, .float64) * (c * c)
    #expect((a.multiplied(byTransposeOf: a) - square).largestMagnitude < 1e-5 * c * c)
    #expect((b.transposed.multiplied(by: b) - square).largestMagnitude < 1e-5 * c * c)
    // s²·(B₀B₀ᵀ·G + G·A₀ᵀA₀) = (s·c)²·Σ_{j≤2r} σ_j·u_j·v_jᵀ.
    let s = 6 / 3.0.squareRoot()
    let g = known.gradient
    let step = (b.multiplied(by: b.transposed.multiplied(by: g)) + g.multiplied(byTransposeOf: a).multiplied(by: a)) * (s * s)
    let expected = known.product(0..<6) * (s * c * s * c)
    #expect((step - expected).largestMagnitude < 1e-5 * expected.largestMagnitude)
  }

  private func expectedLength(_ scale: String) throws -> Double {
    switch scale {
    case "stable": return 12.0.squareRoot().squareRoot() / 4
    case "gd": return 3.0.squareRoot() / 6
    case "weight_svd":
      // Singular values of W from the eigenvalues' sum rule would not tell them apart: LAPACK is the reference here.
      return try LinearAlgebra.svd(weight).s[..<3].reduce(0) { $0 + ($1 * 3.0.squareRoot() / 6).squareRoot() / 3 }
    default: return 1
    }
  }

  @Test(arguments: zip(["ArB2r", "A2rBr", "ArBr"], [[0, 1, 2], [3, 4, 5], [1, 3, 5]]))
  func directionsChooseTheirVectors(_ direction: String, _ rows: [Int]) throws {
    let known = try Known(site)
    let (a, b) = factors(try start(["direction": .string(direction), "scale": .string("unit")], known.gradient))
    let columns = (0..<6).filter { !rows.contains($0) }
    for (i, j) in rows.enumerated() {
      let overlap = a.slice(rows: i..<i + 1).multiplied(by: known.v.slice(columns: j..<j + 1)).item
      #expect(abs(abs(overlap) - 1) < 1e-5)
    }
    for (i, j) in columns.enumerated() {
      let own = b.slice(columns: i..<i + 1)
      #expect(abs(abs(own.transposed.multiplied(by: known.u.slice(columns: j..<j + 1)).item) - 1) < 1e-5)
      let peak = try #require(own.values.max { abs($0) < abs($1) })
      #expect(peak > 0)
    }
  }

  @Test func randomDirectionIsSeeded() throws {
    let gradient = try Known(site).gradient
    func down(_ seed: UInt64) throws -> [Double] {
      factors(try start(["direction": .string("random")], gradient, seed: seed)).down.values
    }
    #expect(try down(1) == down(1))
    #expect(try (2...6).contains { try down($0) != down(1) })
  }

  @Test func multiplesOfTheGradientStartAlike() throws {
    let gradient = try Known(site).gradient
    let (a, b) = factors(try start([:], gradient))
    for factor in [1e-9, 7.3, 1e9] {
      let (other, others) = factors(try start([:], gradient * factor))
      #expect((a - other).largestMagnitude < 1e-6 && (b - others).largestMagnitude < 1e-6)
    }
  }

  @Test func clippingKeepsTheProductWithinTheWeight() throws {
    let known = try Known(site)
    let (a, b) = factors(try start(["scale": .string("unit"), "norm_clip": .bool(true)], known.gradient))
    let product = b.multiplied(by: a) * (6 / 3.0.squareRoot())
    #expect(abs(product.largestMagnitude / weight.largestMagnitude - 1) < 1e-5)
    #expect(abs(a.sumOfSquares / b.sumOfSquares - 1) < 1e-5)
  }

  @Test func stepZeroIsTheBaseAndExportIsExact() throws {
    var adapter = try adapter(start([:], Known(site).gradient))
    var random = Philox(key: 3)
    let x = random.normal([6, 10], deviation: 1)
    let base = TensorMap(matrix: weight.converted(to: .float32))
    func output() throws -> Tensor {
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [6]), sites: [site])
      return try #require(adapter.attached().output(at: site.id, x, base, pass))
    }
    let untouched = base(x)
    #expect(try (output() - untouched).largestMagnitude <= 4 * 0x1p-23 * untouched.largestMagnitude)

    // Moved factors: W + s·[B, −B₀]·[A; A₀] is what the shifted base with B·A computes.
    for spec in adapter.layout { adapter.tensors[spec.key] = random.normal(spec.shape, deviation: 0.5) }
    let offset = try #require(adapter.offset)
    let up = Tensor.joinedColumns([adapter.tensors["lora_B.weight", site.id], offset["lora_B.weight", site.id] * -1])
    let down = Tensor.joinedRows([adapter.tensors["lora_A.weight", site.id], offset["lora_A.weight", site.id]])
    let exported = base.matrix + up.multiplied(by: down) * projection.scale(at: site)
    #expect(try (x.multiplied(byTransposeOf: exported) - output()).largestMagnitude < 1e-5)
    let merged = base.matrix + (try adapter.change(at: site).dense(on: base.matrix))
    #expect((merged - exported).largestMagnitude < 1e-6)
  }

  @Test func offsetHasMemoryOfItsOwn() throws {
    let start = try start([:], Known(site).gradient)
    let before = start.offset?["lora_A.weight", site.id].values
    _ = start.tensors["lora_A.weight", site.id].withUnsafeMutableBytes { $0.initializeMemory(as: UInt8.self, repeating: 0) }
    #expect(start.offset?["lora_A.weight", site.id].values == before)
  }

  func adapter(_ start: Start) throws -> Adapter {
    let method = Assembly(
      projection: projection, initialization: try strategy(), trainable: TrainableSubset(roles: ["factor-a", "factor-b"]))
    let layout = try Adapter.layout(method, over: [site])
    #expect(layout.reduce(0) { $0 + $1.count } == 3 * (12 + 10))
    return try Adapter(
      method, sites: [site], layout: layout, tensors: start.tensors, offset: start.offset, on: Bases(weights: [:]))
  }

  /// A quadratic task, W → W*, by plain gradient descent: the start on the gradient is ahead of the start on noise.
  @Test func learnsFasterThanAStartWithoutEvidence() throws {
    var random = Philox(key: 21)
    let low = random.normal([12, 3], deviation: 1, .float64).multiplied(by: random.normal([3, 10], deviation: 1, .float64))
    let gradient = low * -1  // of ½‖W + ΔW − (W + low)‖² at ΔW = 0
    let base = TensorMap(matrix: .zeros([12, 10], .float64))
    func loss(_ start: Start) throws -> Double {
      var tensors = Tensors(start.tensors.values.mapValues { $0.converted(to: .float64) })
      var taken = Tensor.zeros([12, 10], .float64)
      if let offset = start.offset { taken = try projection.change(at: site, offset, on: base).dense(on: taken) }
      var error = taken
      for _ in 0..<20 {
        let tracked = Tensors(tensors.values.mapValues { $0.tracked() })
        let change = try projection.change(at: site, tracked, on: base)
        let x = Tensor.identity(10, .float64)
        let pass = Pass(now: Moment(), rows: RowLayout(lengths: [10]), sites: [site])
        let output = change.output(SiteCall(site: site, input: x, base: base, pass: pass))
        error = output.detached.transposed - taken - low
        Tensor.backward([(output, error.transposed)])
        for (key, value) in tracked.values {
          guard let slope = value.gradient else { continue }
          tensors[key] = tensors[key] - slope * 0.002
        }
      }
      return error.sumOfSquares
    }
    let plain = Start(try projection.layout(of: [site]).filled(Moment(seed: 1)))
    #expect(try loss(start([:], gradient)) < 0.8 * loss(plain))
  }
}

struct GradientVectorsRefusalTests {
  let known = GradientVectorsTests()

  func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  @Test func gradientsThatGiveNoDirection() throws {
    #expect(message { _ = try known.start([:], nil) }.contains("no gradient of layers.0.q"))
    #expect(message { _ = try known.start([:], .zeros([12, 10])) }.contains("layers.0.q is zero"))
    let bad = Tensor([.nan] + [Double](repeating: 1, count: 119), shape: [12, 10])
    #expect(message { _ = try known.start([:], bad) }.contains("not finite"))
  }

  @Test func layoutsItCannotServe() throws {
    func check(_ projection: any Projection) -> String {
      message {
        try known.strategy().check(projection.layout(of: [known.site]), [known.site], projection)
      }
    }
    #expect(check(LowRank(rank: 5, alpha: 1)).isEmpty)
    let tooLarge = check(LowRank(rank: 6, alpha: 1))
    #expect(tooLarge.contains("2·rank = 12") && tooLarge.contains("[12, 10]") && tooLarge.contains("at most 5"))
    #expect(check(LowRank(rank: 2, alpha: 0)).contains("alpha above 0"))
    #expect(check(LowRank(rank: 2, alpha: 1, hasBias: true)).contains("only as its product"))
    #expect(check(NoProjection()).contains("low-rank pair"))
  }

  @Test(arguments: [
    ("batches", OptionValue.int(0)), ("batch_size", .int(0)), ("direction", .string("sideways")), ("scale", .string("huge")),
    ("gamma", .double(0)), ("gamma", .double(-1)), ("norm_clip", .int(1)),
  ]) func optionsOutOfRange(_ name: String, _ value: OptionValue) {
    #expect(message { _ = try known.strategy([name: value]) }.contains("\(name) is"))
  }

  @Test func rankDeficientGradientsAreNoted() throws {
    let one = Tensor([Double](repeating: 1, count: 120), shape: [12, 10])
    let start = try known.start([:], one)
    #expect(start.notes.count == 1)
    let a = start.tensors["lora_A.weight", known.site.id].converted(to: .float64)
    let square = Tensor.identity(3, .float64) * (12.0.squareRoot() / 16)
    #expect((a.multiplied(byTransposeOf: a) - square).largestMagnitude < 1e-6)
  }
}

struct SpectralTests {
  /// Iteration finds what decomposition finds, signs included, where the spectrum falls.
  @Test func iterationAgreesWithDecomposition() throws {
    var random = Philox(key: 11)
    let u = try LinearAlgebra.qr(random.normal([90, 60], deviation: 1, .float64)).q
    let v = try LinearAlgebra.qr(random.normal([60, 60], deviation: 1, .float64)).q
    let s = (0..<60).map { 1 / Double($0 + 1) }
    let matrix = u.multipliedByRow(Tensor(s, .float64)).multiplied(byTransposeOf: v)
    let exact = try Spectral.leading(6, of: matrix, Philox(key: 1))
    let found = try Spectral.leading(6, of: matrix, Philox(key: 1), exactUpTo: 10)
    for (a, b) in zip(found.s, s) { #expect(abs(a - b) < 1e-6) }
    #expect((found.u - exact.u).largestMagnitude < 1e-4 && (found.v - exact.v).largestMagnitude < 1e-4)
  }
}
