import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct LoRASBConformance {
  @Test(arguments: Law.all) func sbUpholds(_ law: Law) throws {
    for failure in law.check(try sb()) { Issue.record("\(failure)") }
  }

  @Test(arguments: Law.all) func xsUpholds(_ law: Law) throws {
    for failure in law.check(try xs()) { Issue.record("\(failure)") }
  }

  private func sb() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "lora-sb",
      axes: .init(projection: "core", initialization: "first-step", trainable: ["core"]),
      cases: [["rank": .int(1)], ["rank": .int(3), "alpha": .int(6)]]
    ) { sites, options in
      // r² a site, whatever its size.
      sites.count * options.int("rank") * options.int("rank")
    }
    // Evidence alone says where it starts.
    conformance.drawsStart = false
    // A step of 0.01 in every entry of the weight, by design.
    conformance.startBound = 0.5
    conformance.goldens = (0..<2).map { fixture("lora-sb.\($0)") }
    return conformance
  }

  private func xs() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "lora-xs",
      axes: .init(projection: "core", initialization: "singular-basis", trainable: ["core"]),
      cases: [["rank": .int(2)], ["rank": .int(3), "alpha": .int(9)]]
    ) { sites, options in
      // r² a site, whatever its size.
      sites.count * options.int("rank") * options.int("rank")
    }
    conformance.startBound = 1e-3
    conformance.goldens = [fixture("lora-sb.2")]
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
