import Blocks
import Catalog
import Conformance
import Engine
import PEFTKernel
import Testing

@testable import SHiRA

@Suite struct SHiRAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(
      try conformance([["rank": .int(1)], ["rank": .int(2), "scaling": .double(0.75)], ["density": .double(0.1)]]))
    {
      Issue.record("\(failure)")
    }
  }

  /// Places that follow from options.
  @Test(arguments: Law.all) func upholdsWithGivenPlaces(_ law: Law) throws {
    var conformance = try conformance([
      ["rank": .int(2), "index_generator": .string("torch"), "save_indices": .bool(false)],
      ["rank": .int(1), "random_seed": .int(5)],
      ["places": .string("rows"), "every": .int(5), "offset": .int(1)],
      ["places": .string("columns"), "every": .int(4), "save_indices": .bool(false)],
    ])
    conformance.drawsStart = false
    conformance.goldens = (0..<2).map { fixture("shira.\($0)") }
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  private func conformance(_ cases: [[String: OptionValue]]) throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "shira",
      axes: .init(projection: "sparse-high-rank", initialization: "fill", trainable: ["entries"]), cases: cases
    ) { sites, options in
      sites.reduce(0) { sum, site in
        if let every = options.optionalInt("every") {
          let isRows = options.string("places") == "rows"
          let lines = (0..<(isRows ? site.outputs : site.inputs)).filter { $0 % every == options.int("offset") }
          let diagonal = min(site.outputs, site.inputs)
          return sum + lines.count * (isRows ? site.inputs : site.outputs) + diagonal - lines.count { $0 < diagonal }
        }
        let share = options.optionalDouble("density").map { Int(($0 * Double(site.inputs * site.outputs)).rounded()) }
        return sum + (share ?? options.int("rank") * (site.inputs + site.outputs))
      }
    }
    conformance.learningRate = 3e-2
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}

@Suite struct SparseHighRankTests {
  let site = Site(id: SiteID("layers.0.q"), outputs: 9, inputs: 13)

  func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  func made(_ options: [String: OptionValue]) throws -> SparseHighRank {
    try SparseHighRank(Options(options, checkedBy: SparseHighRank.options))
  }

  /// `torch.randperm(117)[:44]`, sorted; with no seed its default one.
  @Test(arguments: [
    (OptionValue.int(5), [1, 3, 4, 6]), (.null, [0, 4, 6, 7]),
  ]) func placesOfPyTorch(_ seed: OptionValue, _ first: [Int]) throws {
    let projection = try made(["rank": .int(2), "index_generator": .string("torch"), "random_seed": seed])
    let index = try projection.layout(of: [site]).filled(Moment())["shira_indices", site.id].values
    let flat = (0..<44).map { Int(index[$0]) * 13 + Int(index[44 + $0]) }
    #expect(Array(flat[..<4]) == first && flat == flat.sorted())
  }

  @Test func largestGradientsAreChosen() throws {
    var random = Philox(key: 3)
    let (weight, gradient) = (random.normal([9, 13], deviation: 1), random.normal([9, 13], deviation: 1))
    let evidence = Evidence(weight: { _ in weight }, gradients: [site.id: gradient])
    let projection = try made(["rank": .int(1)])
    let layout = try projection.layout(of: [site])
    for score in LargestGradients.Score.allCases {
      let start = try LargestGradients(score: score, amount: .init(.batches(1), batchSize: 1))
        .start(layout, [site], projection, evidence, Moment())
      let index = start.tensors["shira_indices", site.id].values
      let chosen = (0..<22).map { Int(index[$0]) * 13 + Int(index[22 + $0]) }
      let scores = (score == .gradient ? gradient : gradient * weight).values.map { abs($0) }
      let order = scores.indices.sorted { (-scores[$0], $0) < (-scores[$1], $1) }
      #expect(chosen == order[..<22].sorted() && start.tensors["shira_weight", site.id].largestMagnitude == 0)
    }
    // Where options choose the places, no start can.
    let fixed = try made(["rank": .int(1), "random_seed": .int(1)])
    let said = message {
      try LargestGradients(score: .gradient, amount: .init(.batches(1), batchSize: 1))
        .check(fixed.layout(of: [site]), [site], fixed)
    }
    #expect(said.contains("chooses places that options choose already"))
  }

  @Test func adaptersOnOtherRowsAreNearlyOrthogonal() throws {
    func adapter(_ offset: Int) throws -> (values: Tensor, places: SparsePlaces) {
      let projection = try made(["places": .string("rows"), "every": .int(4), "offset": .int(offset)])
      let index = try projection.layout(of: [site]).filled(Moment())["shira_indices", site.id]
      let places = try #require(SparsePlaces(index, outputs: 9, inputs: 13))
      var random = Philox(key: UInt64(offset))
      return (random.normal([places.count], deviation: 1, .float64), places)
    }
    let (first, second) = (try adapter(0), try adapter(1))
    let interference = try Interference(first, second)
    let product = first.values.scattered(at: first.places).transposed.multiplied(by: second.values.scattered(at: second.places))
    #expect(abs(interference.frobenius - product.sumOfSquares.squareRoot()) < 1e-12)
    #expect(abs(interference.spectral - (try LinearAlgebra.svd(product)).s[0]) < 1e-12)
    #expect(interference.orthogonality > 0.5)
    #expect(try Interference(first, first).orthogonality < interference.orthogonality)
  }

  @Test(arguments: [
    (["every": OptionValue.int(3)], "every is 3"), (["places": .string("rows")], "every is null"),
    (["places": .string("rows"), "every": .int(3), "offset": .int(3)], "offset is 3"),
    (["save_indices": .bool(false)], "save_indices is false"), (["offset": .int(2)], "offset is 2"),
  ]) func optionsThatContradict(_ options: [String: OptionValue], _ said: String) {
    #expect(message { _ = try made(options) }.contains(said))
  }
}
