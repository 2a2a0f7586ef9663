import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct WaRAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(try conformance()) { Issue.record("\(failure)") }
  }

  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "wara",
      axes: .init(projection: "wavelet", initialization: "fill", trainable: ["factor-a", "factor-b"]),
      cases: [
        ["rank": .int(2)],
        ["rank": .int(3), "alpha": .int(3), "wavelet": .string("haar"), "levels": .int(2)],
        ["rank": .int(2), "wavelet": .string("sym4"), "levels": .int(2), "bands": .string("independent")],
      ], parameterCount: Self.count)
    conformance.goldens = (0..<4).map { fixture("wara.\($0)") }
    return conformance
  }

  /// Shared: r·Σ_j (N_in + N_out)/2^j. Independent: three times that, and r·(N_in + N_out)/2^J.
  @Sendable private static func count(_ sites: [Site], _ options: Options) -> Int {
    let (levels, rank) = (options.int("levels"), options.int("rank"))
    func padded(_ n: Int) -> Int { (n + (1 << levels) - 1) / (1 << levels) * (1 << levels) }
    return sites.reduce(0) { sum, site in
      let sides = padded(site.inputs) + padded(site.outputs)
      let levelwise = (1...levels).reduce(0) { $0 + sides / (1 << $1) }
      return sum + rank * (options.string("bands") == "shared" ? levelwise : 3 * levelwise + sides / (1 << levels))
    }
  }

  @Test func countsAreThoseOfTheSpecification() {
    func count(_ out: Int, _ n: Int, _ rank: Int, _ levels: Int, _ bands: String) -> Int {
      Self.count(
        [Site(id: SiteID("site"), outputs: out, inputs: n)],
        Options(["rank": .int(rank), "levels": .int(levels), "bands": .string(bands)]))
    }
    #expect(count(24, 20, 3, 1, "shared") == 66)
    #expect(count(17, 33, 3, 1, "shared") == 78)
    #expect(count(17, 33, 2, 2, "shared") == 84)
    #expect(count(24, 20, 2, 2, "independent") == 220)
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
