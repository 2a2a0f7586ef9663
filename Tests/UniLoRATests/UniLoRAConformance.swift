import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct UniLoRAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(try conformance()) { Issue.record("\(failure)") }
  }

  /// d numbers for the whole model; where d is not given, a sixteenth of D = Σ r·(in + out), rounded, at least 1.
  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "uni-lora",
      axes: .init(projection: "uni-lora", initialization: "near-base", trainable: ["vector"]),
      cases: [
        ["rank": .int(2), "theta_d_length": .int(40), "bound": .double(0.1)],
        ["rank": .int(3), "exact_start": .bool(true), "bound": .double(0.3)],
        ["rank": .int(2), "theta_d_length": .int(30), "bound": .double(0.1), "save_indices": .bool(true)],
        ["rank": .int(2), "theta_d_length": .int(40), "bound": .double(0.1), "map": .string("fastfood")],
        ["rank": .int(3), "exact_start": .bool(true), "bound": .double(0.3), "map": .string("fastfood")],
        ["rank": .int(2), "theta_d_length": .int(40), "bound": .double(0.1), "map": .string("gaussian")],
        ["rank": .int(3), "exact_start": .bool(true), "bound": .double(0.3), "map": .string("gaussian")],
      ]
    ) { sites, options in
      let entries = sites.reduce(0) { $0 + options.int("rank") * ($1.inputs + $1.outputs) }
      return options.optionalInt("theta_d_length") ?? max(1, Int((Double(entries) / 16).rounded()))
    }
    conformance.learningRate = 0.05
    conformance.goldens =
      (0..<3).map { fixture("unilora.\($0)") } + [fixture("shared_sites.0")] + (0..<7).map { fixture("projections.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
