import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct SALTConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    var conformance = try conformance([
      ["salt_rank": .int(5), "r": .int(3)],
      ["ratio_salt": .double(0.3), "r": .int(2), "reg_multiplier": .double(0.01), "store_basis": .bool(false)],
    ])
    conformance.goldens = (0..<3).map { fixture("salt.\($0)") }
    // The cut needs X·Y whole, of nearly the weight's size.
    conformance.formsDenseUpdates = true
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  @Test(arguments: Law.all) func withoutCutUpholds(_ law: Law) throws {
    let conformance = try conformance([
      ["relu": .bool(false), "salt_rank": .int(6), "r": .int(2)],
      ["relu": .bool(false), "r": .int(4), "reg_multiplier": .double(0.01), "store_basis": .bool(false)],
    ])
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  /// Every direction in the top: singular values alone are tuned, and nothing is drawn.
  @Test(arguments: Law.all) func singularValuesAloneUphold(_ law: Law) throws {
    var conformance = try conformance([["ratio_salt": .int(1), "reg_multiplier": .double(0.02)]])
    conformance.drawsStart = false
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  /// 2·p + 2·r·(k − p) a site, k = min(out, in).
  private func conformance(_ cases: [[String: OptionValue]]) throws -> MethodConformance {
    MethodConformance(
      registry: try Catalog.registry(), entry: "salt",
      axes: .init(
        projection: "spectrum", initialization: "unchanged-spectrum", trainable: ["factor-a", "factor-b", "diagonal"]),
      cases: cases
    ) { sites, options in
      sites.reduce(0) { sum, site in
        let k = min(site.outputs, site.inputs)
        let p = options.optionalInt("salt_rank") ?? max(1, Int(Double(k) * (options.optionalDouble("ratio_salt") ?? 0.1)))
        return sum + 2 * p + 2 * options.int("rank") * (k - p)
      }
    }
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
