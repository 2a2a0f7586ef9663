import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct HydraConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(try conformance()) { Issue.record("\(failure)") }
  }

  /// r_p·(in + out) + 2·r_s·out a site; r + out a branch for biases; 1 for a trained scale.
  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "hydra",
      axes: .init(
        projection: "parallel-sequential", initialization: "branch-draws",
        trainable: ["factor-a", "factor-b", "bias", "scalar"]),
      cases: [
        [:], ["r_par": .int(2), "r_seq": .int(3), "adapter_bias": .bool(true), "scale": .double(0.5), "dropout": .double(0.1)],
        ["r_par": .int(0), "r_seq": .int(2), "learn_scale": .bool(true), "init_weights": .string("xavier")],
        ["r_par": .int(3), "r_seq": .int(0), "scale": .int(2), "init_weights": .string("normal")],
      ]
    ) { sites, options in
      let (p, s) = (options.int("r_par"), options.int("r_seq"))
      return sites.reduce(0) { sum, site in
        let factors = p * (site.inputs + site.outputs) + 2 * s * site.outputs
        let biases = (p > 0 ? p + site.outputs : 0) + (s > 0 ? s + site.outputs : 0)
        return sum + factors + (options.bool("adapter_bias") ? biases : 0) + (options.bool("learn_scale") ? 1 : 0)
      }
    }
    conformance.goldens = (0..<3).map { fixture("hydra.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
