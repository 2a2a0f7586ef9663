import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct SNELLConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(try conformance()) { Issue.record("\(failure)") }
  }

  /// r·(in + out) a site, as LoRA's.
  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "snell",
      axes: .init(projection: "kernel-merge", initialization: "near-base", trainable: ["hidden"]),
      cases: [
        ["rank": .int(8), "sparsity": .double(0.6)],
        ["rank": .int(4), "sparsity": .double(0.9), "gate": .string("soft"), "input_dropout": .double(0.2)],
        ["rank": .int(4), "sparsity": .double(0), "drop_path": .double(0.3)],
      ]
    ) { sites, options in
      sites.reduce(0) { $0 + options.int("rank") * ($1.inputs + $1.outputs) }
    }
    // |ΔW| ≤ c·(1/√in + 1/√out) at the start, ungated: at most 0.048 here, beside weights of deviation 0.2.
    conformance.startBound = 0.048 / 0.2
    // Entries grow with the square of the distances: slowly at first.
    conformance.learningRate = 0.1
    conformance.goldens = (0..<3).map { fixture("snell.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
