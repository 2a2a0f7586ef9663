import Catalog
import Conformance
import Testing

/// The optimizers of pairs against the files of an independent oracle, tensor by tensor.
@Suite struct PairedGoldenTests {
  @Test(arguments: (0..<4).map { "adaprelora.\($0)" } + (0..<8).map { "lora-optimizers.\($0)" })
  func agrees(_ name: String) throws {
    let here = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined()
    let path = "\(here)/ConformanceTests/Fixtures/\(name).safetensors"
    let report = Verification(registry: try Catalog.registry()).report(on: path)
    #expect(report.faults == [])
    #expect((report.worst?.error ?? 1) < 1e-5, "\(String(describing: report.worst))")
    #expect(report.checks.count == (name.hasPrefix("ada") ? 12 : 4) * 3)
  }
}
