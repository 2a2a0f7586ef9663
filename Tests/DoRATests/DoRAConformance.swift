import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct DoRAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(try conformance()) { Issue.record("\(failure)") }
  }

  /// r·(in + out) + out a site.
  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "dora",
      axes: .init(
        projection: "weight-decomposed", initialization: "kaiming", trainable: ["factor-a", "factor-b", "magnitude"]),
      cases: [
        ["rank": .int(2), "alpha": .int(4)],
        ["rank": .int(3), "detach_norm": .bool(false), "dropout": .double(0.2)],
        // As wide as the sites: lengths of rows are taken of the rows themselves.
        ["rank": .int(16), "alpha": .int(8), "dropout": .double(0.2)],
      ]
    ) { sites, options in
      sites.reduce(0) { $0 + options.int("rank") * ($1.inputs + $1.outputs) + $1.outputs }
    }
    conformance.goldens = (0..<3).map { fixture("dora-factored.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
