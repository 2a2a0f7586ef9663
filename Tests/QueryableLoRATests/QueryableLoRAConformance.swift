import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct QueryableLoRAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws { #expect(law.check(try conformance()) == []) }

  /// r·(in + out) a site; once for the model M atoms of r² with keys of d, a query map d·2r, a depth query of r for every
  /// block but the first, and a map d·e of the instruction.
  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "queryable-lora",
      axes: .init(
        projection: "queryable-atoms", initialization: "fill", trainable: ["factor-a", "factor-b", "core", "router"]),
      cases: [
        [
          "rank": .int(2), "num_atoms": .int(4), "key_dim": .int(3), "top_k": .int(2), "layers_per_block": .int(1),
        ],
        [
          "rank": .int(3), "num_atoms": .int(3), "key_dim": .int(4), "top_k": .int(3), "layers_per_block": .int(1),
          "instruction": .list([.double(0.5), .double(-1)]), "prior_kl": .double(0.1), "temperature": .double(0.7),
        ],
      ]
    ) { sites, options in
      let (r, m, d) = (options.int("rank"), options.int("num_atoms"), options.int("key_dim"))
      let layers = sites.reduce(into: [Int?]()) { if $0.last != $1.layer { $0.append($1.layer) } }
      let shared = m * r * r + m * d + d * 2 * r + (layers.count - 1) * r + d * options.doubles("instruction").count
      return sites.reduce(shared) { $0 + r * ($1.inputs + $1.outputs) }
    }
    conformance.merge = .refused(because: "another update for every token")
    conformance.goldens = (0..<3).map { fixture("queryable_lora.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
