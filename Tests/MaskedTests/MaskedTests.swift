import Blocks
import Catalog
import Conformance
import Engine
import PEFTKernel
import Testing

@testable import Masked

@Suite struct MaskedConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "masked",
      axes: .init(projection: "masked", initialization: "fill", trainable: ["entries"]),
      cases: [["rank": .int(1)], ["rank": .int(2), "scaling": .double(0.75)], ["density": .double(0.1)]]
    ) { sites, options in
      sites.reduce(0) { sum, site in
        let all = Double(site.inputs * site.outputs)
        let share = options.optionalDouble("density").map { Int(($0 * all).rounded()) }
        return sum + (share ?? options.int("rank") * (site.inputs + site.outputs))
      }
    }
    conformance.learningRate = 3e-2
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }
}

@Suite struct MaskedEntriesTests {
  let site = Site(id: SiteID("layers.0.q"), outputs: 9, inputs: 13)

  func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  func random(_ shape: [Int], key: UInt64) -> Tensor {
    var random = Philox(key: key)
    return random.normal(shape, deviation: 1, .float64)
  }

  func near(_ projection: MaskedEntries, _ target: Target) throws -> (Approximation, Tensor) {
    let found = try projection.approximate(target, at: site, projection.layout(of: [site]), Tensors(), Philox(key: 1))
    let wide = Tensors(found.tensors.values.mapValues { $0.converted(to: .float64) })
    let base = TensorMap(matrix: .zeros([9, 13], .float64))
    return (found, try projection.change(at: site, wide, on: base).dense(on: base.matrix))
  }

  @Test func largestEntriesAreNearest() throws {
    let matrix = random([9, 13], key: 3)
    let (found, change) = try near(MaskedEntries(size: .rank(2), scaling: 0.5), Target(matrix))
    let sorted = matrix.values.map(abs).sorted(by: >)
    for (mine, all) in zip(change.values, matrix.values) { #expect(abs(mine - (abs(all) >= sorted[43] ? all : 0)) < 1e-6) }
    #expect(found.isBest && abs(found.error - sorted[44...].reduce(0) { $0 + $1 * $1 }.squareRoot()) < 1e-6)
  }

  @Test func valuesOnTheSupportAreBest() throws {
    let (matrix, x) = (random([9, 13], key: 3), random([30, 13], key: 4).multiplied(by: random([13, 13], key: 5)))
    let gram = x.transposed.multiplied(by: x)
    let (found, change) = try near(MaskedEntries(size: .rank(2)), Target(matrix, metric: .gram(gram)))
    let slopes = (matrix - change).multiplied(by: gram)
    for (value, slope) in zip(change.values, slopes.values) where value != 0 {
      #expect(abs(slope) < 1e-5 * gram.largestMagnitude)
    }
    #expect(!found.isBest && found.error < Metric.gram(gram).length(of: matrix))
  }

  @Test func largestWeightsAreChosenInTurns() throws {
    let projection = MaskedEntries(size: .rank(2))
    let layout = try projection.layout(of: [site])
    let weight = random([9, 13], key: 8).converted(to: .float32)
    func chosen(_ offset: Int) throws -> [Int] {
      let start = try LargestWeights(offset: offset).start(
        layout, [site], projection, Evidence { _ in weight }, Moment(mode: .training))
      #expect(start.tensors["shira_weight", site.id].largestMagnitude == 0)
      let index = start.tensors["shira_indices", site.id].values
      return (0..<44).map { Int(index[$0]) * 13 + Int(index[44 + $0]) }
    }
    let order = weight.values.indices.sorted { (-abs(weight.values[$0]), $0) < (-abs(weight.values[$1]), $1) }
    #expect(try chosen(0) == order[..<44].sorted())
    #expect(try chosen(1) == order[44..<88].sorted())
    let beyond = message { try LargestWeights(offset: 2).check(layout, [site], projection) }
    #expect(beyond.contains("layers.0.q") && beyond.contains("at most 1"))
    #expect(message { try LargestWeights(offset: 0).check(layout, [site], NoProjection()) }.contains("projection masked"))
  }

  @Test func equalWeightsCountInOrder() {
    #expect(Support.largest(3, of: Tensor([1, 2, 2, 2, 2, 0], shape: [2, 3])) == Support([[1, 2], [0]]))
    #expect(Support.ranked(1..<3, of: Tensor([1, 2, 2, 2, 2, 0], shape: [2, 3])) == Support([[2], [0]]))
  }

  @Test func sizesThatDoNotFit() throws {
    #expect(message { _ = try MaskedEntries(size: .rank(5)).layout(of: [site]) }.isEmpty)
    let many = message { _ = try MaskedEntries(size: .rank(6)).layout(of: [site]) }
    #expect(many.contains("[9, 13] has 117 entries") && many.contains("132") && many.contains("at most 5"))
    let none = message { _ = try MaskedEntries(size: .density(0.004)).layout(of: [site]) }
    #expect(none.contains("leaves no entry of layers.0.q") && none.contains("at least 0.0085"))
    #expect(
      message {
        _ = try MaskedEntries(size: .rank(1), scaling: 0).approximate(
          Target(random([9, 13], key: 3)), at: site, [], Tensors(), Philox(key: 1))
      }.contains("scaled by 0"))
  }

  @Test(arguments: [
    ("rank", OptionValue.int(0)), ("density", .double(0)), ("density", .double(1.5)), ("scaling", .double(-1)),
    ("scaling", .double(.nan)),
  ]) func optionsOutOfRange(_ name: String, _ value: OptionValue) {
    let text = message { _ = try MaskedEntries.definition.make(Options([name: value], checkedBy: MaskedEntries.options)) }
    #expect(text.contains("\(name) is"))
  }
}
