import Catalog
import Conformance
import Kronecker
import Registry
import Testing

@Suite struct KroneckerTests {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws { #expect(law.check(try conformance()) == []) }

  /// p·q + (outputs/p)·(inputs/q) a site.
  private func conformance() throws -> MethodConformance {
    let registry = try MethodRegistry(
      plugins: Catalog.plugins + [KroneckerMethod.plugin], entries: Catalog.entries + [KroneckerMethod.entry])
    return MethodConformance(
      registry: registry, entry: "kronecker",
      axes: .init(projection: "kronecker", initialization: "fill", trainable: ["core"]),
      cases: [["factor": .int(1)], ["factor": .int(5), "scale": .double(0.5)], [:]]
    ) { sites, options in
      sites.reduce(0) { sum, site in
        func side(_ size: Int) -> Int { stride(from: options.int("factor"), to: 0, by: -1).first { size % $0 == 0 } ?? 1 }
        let (p, q) = (side(site.outputs), side(site.inputs))
        return sum + p * q + site.outputs / p * (site.inputs / q)
      }
    }
  }
}
