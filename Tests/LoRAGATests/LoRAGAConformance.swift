import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct LoRAGAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws { #expect(law.check(try conformance()) == []) }

  /// r·(in + out) a site: the frozen first factors are not trained.
  private func conformance() throws -> MethodConformance {
    let batches: [String: OptionValue] = ["batches": .int(2), "batch_size": .int(2)]
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "lora-ga",
      axes: .init(projection: "low-rank", initialization: "gradient-vectors", trainable: ["factor-a", "factor-b"]),
      cases: [
        batches.merging(["rank": .int(1), "alpha": .int(2)]) { $1 },
        batches.merging(["rank": .int(3), "direction": .string("ArBr"), "scale": .string("gd")]) { $1 },
        batches.merging(["rank": .int(2), "direction": .string("A2rBr"), "scale": .string("weight_svd")]) { $1 },
      ]
    ) { sites, options in
      sites.reduce(0) { $0 + options.int("rank") * ($1.inputs + $1.outputs) }
    }
    // Gradients alone say where it starts.
    conformance.drawsStart = false
    conformance.goldens = (0..<4).map { fixture("lora-ga.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
