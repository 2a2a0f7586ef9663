import Blocks
import Catalog
import Conformance
import Engine
import PEFTKernel
import Testing

@testable import QWHA

@Suite struct QWHAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(try conformance()) { Issue.record("\(failure)") }
  }

  /// r·(in + out) a site, or the count itself.
  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "qwha",
      axes: .init(projection: "walsh-hadamard", initialization: "quantization-error", trainable: ["entries"]),
      cases: [
        ["rank": .int(1)],
        ["rank": .int(2), "alpha": .double(-0.5), "selection": .string("energy"), "temperature": .double(0)],
        ["count": .int(17), "scaling": .double(3), "allocation": .string("weight")],
      ]
    ) { sites, options in
      sites.reduce(0) { $0 + (options.optionalInt("count") ?? options.int("rank") * ($1.inputs + $1.outputs)) }
    }
    // Weights and inputs alone say where it starts.
    conformance.drawsStart = false
    // The error it undoes is a tenth of the bench's weights.
    conformance.startBound = 0.2
    conformance.goldens = (0..<4).map { fixture("qwha.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}

@Suite struct AdaAllocTests {
  @Test(arguments: [0.0, 0.5, 1, 2, 400], [1, 7, 40, 119, 120]) func budgetsAddUp(_ temperature: Double, _ total: Int) {
    let errors = [3, 0, 1e-3, 0.5, 0.5, 8, 2, 1, 1, 4]
    let budgets = AdaAlloc(temperature: temperature, cap: 12).budgets(total, errors)
    #expect(budgets.reduce(0, +) == total && budgets.allSatisfy { (0...12).contains($0) })
  }

  @Test func sharesFollowTheErrors() {
    // ⌊10·(1, 2, 5)/8⌋ = 1, 2, 6; the one left goes to the smallest budget.
    #expect(AdaAlloc(temperature: 1, cap: 100).budgets(10, [1, 2, 5]) == [2, 2, 6])
    // Capped at 4; five left over two open rows: two each, then one to the smaller index.
    #expect(AdaAlloc(temperature: 1, cap: 4).budgets(9, [0, 0, 7]) == [3, 2, 4])
    #expect(AdaAlloc(temperature: 0, cap: 9).budgets(7, [0, 1, 100]) == [3, 2, 2])
    #expect(AdaAlloc(temperature: 1, cap: 9).budgets(6, [0, 0, 0]) == [2, 2, 2])
    #expect(AdaAlloc(temperature: 3, cap: 9).budgets(9, [1e200, 1e200, 0]) == [4, 4, 1])
  }
}

/// What the paper states about the projection and its start, on a site whose transform is exact (24) and on one padded to 36.
@Suite struct SparseSpectrumTests {
  static let sites = [24, 33].map { Site(id: SiteID("layers.0.q"), outputs: 14, inputs: $0) }

  struct Problem {
    let error: Tensor
    let gram: Tensor

    init(_ site: Site) {
      var random = Philox(key: 5)
      error = random.normal([site.outputs, site.inputs], deviation: 0.1, .float64)
      let x = random.normal([40, site.inputs], deviation: 1, .float64)
      let mixed = x.multiplied(by: random.normal([site.inputs, site.inputs], deviation: 1, .float64))
      gram = mixed.transposed.multiplied(by: mixed)
    }
  }

  func near(_ projection: SparseSpectrum, _ site: Site, _ metric: Metric, _ error: Tensor) throws -> (Approximation, Tensor) {
    let layout = try projection.layout(of: [site])
    let found = try projection.approximate(Target(error, metric: metric), at: site, layout, Tensors(), Philox(key: 1))
    for spec in layout { #expect(found.tensors[spec.key].shape == spec.shape) }
    return (found, try dense(projection, site, found.tensors))
  }

  func dense(_ projection: SparseSpectrum, _ site: Site, _ tensors: Tensors) throws -> Tensor {
    let wide = Tensors(tensors.values.mapValues { $0.converted(to: .float64) })
    let base = TensorMap(matrix: .zeros([site.outputs, site.inputs], .float64))
    return try projection.change(at: site, wide, on: base).dense(on: base.matrix)
  }

  @Test(arguments: sites) func oneCoefficientMovesOneRowBySigns(_ site: Site) throws {
    let projection = SparseSpectrum(size: .count(1), factor: .alpha(-2))
    let tensors = Tensors([
      TensorKey("qwha_spectrum", site.id): Tensor([0.3], .float64),
      TensorKey("qwha_indices", site.id): Tensor([4, 9], shape: [2, 1], .float64),
    ])
    let change = try dense(projection, site, tensors)
    let size = 0.6 / Double(Hadamard.size(for: site.inputs)).squareRoot()
    for (place, value) in change.values.enumerated() {
      #expect(abs(abs(value) - (place / site.inputs == 4 ? size : 0)) < 1e-12)
    }
  }

  @Test(arguments: sites) func allCoefficientsReachEverything(_ site: Site) throws {
    let problem = Problem(site)
    let all = site.outputs * Hadamard.size(for: site.inputs)
    for metric in [Metric.frobenius, .gram(problem.gram)] {
      let (found, change) = try near(SparseSpectrum(size: .count(all)), site, metric, problem.error)
      #expect(found.isBest && found.error < 1e-5 * metric.length(of: problem.error))
      #expect((change - problem.error).largestMagnitude < 1e-6)
    }
  }

  /// Parseval: where P is orthogonal, what is left are the coefficients that were not taken.
  @Test func largestCoefficientsAreBest() throws {
    let site = Self.sites[0]
    let problem = Problem(site)
    let (found, change) = try near(SparseSpectrum(size: .count(60), factor: .alpha(0.5)), site, .frobenius, problem.error)
    let coefficients = problem.error.hadamard(Hadamard(inputs: 24)).values.map { $0 * $0 }.sorted(by: >)
    let left = coefficients[60...].reduce(0, +).squareRoot()
    #expect(
      found.isBest && abs(found.error - left) < 1e-6 && abs((problem.error - change).sumOfSquares.squareRoot() - left) < 1e-6)
  }

  /// S·G·(E_i − f·S)ᵀ = 0 in every row: no other values on this support come nearer.
  @Test(arguments: sites, [SparseSpectrum.Selection.magnitude, .energy]) func valuesSatisfyTheNormalEquations(
    _ site: Site, _ selection: SparseSpectrum.Selection
  ) throws {
    let problem = Problem(site)
    let projection = SparseSpectrum(size: .rank(2), factor: .alpha(0.5), selection: selection)
    let (found, change) = try near(projection, site, .gram(problem.gram), problem.error)
    let left = problem.error - change
    let slopes = left.multiplied(by: problem.gram).hadamard(Hadamard(inputs: site.inputs))
    let index = found.tensors["qwha_indices", site.id].values
    let count = index.count / 2
    let scale = problem.error.multiplied(by: problem.gram).largestMagnitude
    for l in 0..<count {
      #expect(abs(slopes.values[Int(index[l]) * slopes.columns + Int(index[count + l])]) < 1e-5 * scale)
    }
    #expect(found.error < Metric.gram(problem.gram).length(of: problem.error) && !found.isBest)
    #expect(abs(found.error - Metric.gram(problem.gram).length(of: left)) < 1e-6 * found.error)
  }

  /// A row with more coefficients than inputs has many solutions: any reaches the row, the smallest is taken.
  @Test func paddedRowsMayHoldMoreThanTheyNeed() throws {
    let site = Self.sites[1]
    let problem = Problem(site)
    let (found, change) = try near(
      SparseSpectrum(size: .count(14 * 35), temperature: 0), site, .gram(problem.gram), problem.error)
    #expect((change - problem.error).largestMagnitude < 1e-5)
    #expect(found.tensors["qwha_spectrum", site.id].largestMagnitude < 10 * problem.error.largestMagnitude)
  }

  @Test func updateHasFullRank() throws {
    let site = Self.sites[0]
    let problem = Problem(site)
    let (_, change) = try near(SparseSpectrum(size: .rank(2)), site, .gram(problem.gram), problem.error)
    let values = try LinearAlgebra.svd(change).s
    #expect(values.count { $0 > 1e-9 * values[0] } == 14)
  }

  @Test func zerosAtRandomPlacesAreTheBase() throws {
    let site = Self.sites[1]
    let projection = SparseSpectrum(size: .rank(1))
    let tensors = try projection.layout(of: [site]).filled(Moment(seed: 1))
    let others = try projection.layout(of: [site]).filled(Moment(seed: 2))
    try projection.check(tensors, at: [site])
    #expect(try dense(projection, site, tensors).largestMagnitude == 0)
    #expect(tensors["qwha_indices", site.id].values != others["qwha_indices", site.id].values)
  }
}

@Suite struct SparseSpectrumRefusalTests {
  let site = Site(id: SiteID("layers.0.q"), outputs: 4, inputs: 33)

  func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  func made(_ options: [String: OptionValue]) -> String {
    message { _ = try SparseSpectrum.definition.make(Options(options, checkedBy: SparseSpectrum.definition.options)) }
  }

  @Test func countsBeyondTheSpectrum() throws {
    #expect(message { _ = try SparseSpectrum(size: .rank(3)).layout(of: [site]) }.isEmpty)
    let rank = message { _ = try SparseSpectrum(size: .rank(4)).layout(of: [site]) }
    #expect(rank.contains("layers.0.q [4, 33] has 144") && rank.contains("the 148 asked for") && rank.contains("at most 3"))
    #expect(message { _ = try SparseSpectrum(size: .count(144)).layout(of: [site]) }.isEmpty)
    #expect(message { _ = try SparseSpectrum(size: .count(145)).layout(of: [site]) }.contains("a count of at most 144"))
    let narrow = Site(id: SiteID("narrow"), outputs: 1, inputs: 8)
    #expect(message { _ = try SparseSpectrum(size: .rank(1)).layout(of: [narrow]) }.contains("a count of at most 8"))
  }

  @Test(arguments: [
    ("rank", OptionValue.int(0)), ("count", .int(0)), ("alpha", .double(.infinity)), ("alpha", .double(.nan)), ("alpha", .int(0)),
    ("scaling", .double(0)), ("temperature", .double(-1)), ("temperature", .double(.infinity)), ("allocation", .string("row")),
    ("selection", .string("rank")),
  ]) func optionsOutOfRange(_ name: String, _ value: OptionValue) { #expect(made([name: value]).contains("\(name) is")) }

  @Test func scalingIsAlphaInOtherUnits() throws {
    let projection = SparseSpectrum(size: .rank(1), factor: .scaling(4000))
    let square = Site(id: SiteID("square"), outputs: 4096, inputs: 4096)
    #expect(abs(projection.scale(at: square) - 4000 / 4096) < 1e-12)
  }

  @Test func indicesOfAnotherModel() {
    for index in [[0, 0, 5, 40], [0, 4, 1, 1], [1, 0, 0, 0], [0, 0, 3, 3], [0, 0.5, 1, 1]] {
      let tensors = Tensors([
        TensorKey("qwha_spectrum", site.id): Tensor([1, 2]), TensorKey("qwha_indices", site.id): Tensor(index, shape: [2, 2]),
      ])
      #expect(
        message { try SparseSpectrum(size: .count(2)).check(tensors, at: [site]) }.contains(
          "qwha_indices holds no distinct places"))
    }
  }

  @Test func targetsThatAreNoNumbers() throws {
    let projection = SparseSpectrum(size: .rank(1))
    let bad = Tensor([.nan] + [Double](repeating: 1, count: 131), shape: [4, 33], .float64)
    let good = Tensor(repeating: 1, shape: [4, 33], .float64)
    let gram = Tensor(repeating: .infinity, shape: [33, 33], .float64)
    for target in [Target(bad), Target(good, metric: .gram(gram))] {
      let text = message { _ = try projection.approximate(target, at: site, [], Tensors(), Philox(key: 1)) }
      #expect(text.contains("layers.0.q") && text.contains("not finite"))
    }
  }
}
