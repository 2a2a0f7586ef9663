import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct PiSSAConformance {
  @Test(arguments: Law.all) func pissaUpholds(_ law: Law) throws {
    for failure in law.check(try pissa()) { Issue.record("\(failure)") }
  }

  private func pissa() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "pissa",
      axes: .init(projection: "low-rank", initialization: "principal-weights", trainable: ["factor-a", "factor-b"]),
      cases: [["rank": .int(1), "alpha": .int(1)], ["rank": .int(3), "scaling": .string("rslora")]]
    ) { sites, options in
      // r·(in + out) a site.
      sites.reduce(0) { $0 + options.int("rank") * ($1.inputs + $1.outputs) }
    }
    // Evidence alone says where it starts.
    conformance.drawsStart = false
    conformance.goldens = (0..<3).map { fixture("pissa.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
