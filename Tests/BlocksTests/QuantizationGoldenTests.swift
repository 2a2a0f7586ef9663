import Catalog
import Conformance
import Testing

@Suite struct QuantizationGoldenTests {
  /// Codes to the last bit, numbers to the rounding of the files.
  @Test(arguments: 0..<8) func agrees(_ index: Int) throws {
    let folder = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined()
    let report = Verification(registry: try Catalog.registry()).report(
      on: folder + "/ConformanceTests/Fixtures/quantization.\(index).safetensors")
    #expect(report.faults == [] && report.entry == "quantization")
    #expect(report.checks.count >= 7)
    for check in report.checks { #expect((check.error ?? 1) < 1e-6, "\(check)") }
  }
}
