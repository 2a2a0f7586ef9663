import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct BlockLoRAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    var conformance = try conformance(
      [
        [:], ["r": .int(6), "n": .int(3), "lora_alpha": .int(2), "use_rslora": .bool(false), "dropout": .int(0)],
        ["rank": .int(3), "blocks": .int(1)],
        ["rank": .int(4), "blocks": .int(4), "init_lora_B": .string("symmetric_break")],
      ])
    conformance.goldens = (0..<3).map { fixture("block_lora.\($0)") }
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  /// Slices of the input: sites whose inputs have that many equal parts.
  @Test(arguments: Law.all) func inputSlicesUphold(_ law: Law) throws {
    func site(_ path: String, _ outputs: Int, _ inputs: Int, bias: Bool) -> Site {
      Site(id: SiteID(path), use: "attention.query", outputs: outputs, inputs: inputs, layer: 0, hasBias: bias)
    }
    let input: [String: OptionValue] = ["partition": .string("input"), "dropout": .double(0.1)]
    var conformance = try conformance([
      input.merging(["rank": .int(4), "blocks": .int(2)]) { $1 }, input.merging(["rank": .int(1), "blocks": .int(1)]) { $1 },
    ])
    conformance.places = [
      [site("layers.0.wide", 24, 20, bias: false)], [site("layers.0.tall", 17, 34, bias: true)],
      [site("layers.0.first", 24, 20, bias: true), site("layers.0.second", 17, 34, bias: false)],
    ]
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  /// r·(out + in/n) a site, whatever is cut.
  private func conformance(_ cases: [[String: OptionValue]]) throws -> MethodConformance {
    MethodConformance(
      registry: try Catalog.registry(), entry: "block-lora",
      axes: .init(projection: "block-low-rank", initialization: "shared-head", trainable: ["factor-a", "factor-b"]), cases: cases
    ) { sites, options in
      sites.reduce(0) { $0 + options.int("rank") * $1.outputs + options.int("rank") * $1.inputs / options.int("blocks") }
    }
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
