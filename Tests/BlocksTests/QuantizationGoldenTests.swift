import Conformance
import Engine
import PEFTKernel
import Testing

@testable import Blocks

@Suite struct QuantizationGoldenTests {
  @Test(arguments: 0..<8) func results(_ index: Int) throws {
    let folder = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined()
    let file = try GoldenFile(path: folder + "/ConformanceTests/Fixtures/quantization.\(index).safetensors")
    let golden = try QuantizationGolden(file)
    for name in (file.tensors.names + file.integers.names).sorted() {
      guard let ours = try golden.result(name)?.values else { print(index, name, "not computed"); continue }
      if let expected = file.integers[name] {
        let off = zip(expected, ours).count { Double($0) != $1 }
        #expect(expected.count == ours.count && off == 0, "\(index) \(name) \(off)")
      } else if let expected = file.tensors[name]?.values {
        let peak = expected.reduce(1e-3) { max($0, abs($1)) }
        let error = zip(expected, ours).reduce(0) { max($0, abs($1.0 - $1.1)) } / peak
        print(index, name, error)
        #expect(expected.count == ours.count && error < 1e-6, "\(index) \(name) \(error)")
      }
    }
  }
}
