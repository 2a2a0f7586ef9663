import Catalog
import Conformance
import PEFTKernel
import Testing

@Suite struct LoRAConformance {
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    for failure in law.check(try conformance()) { Issue.record("\(failure)") }
  }

  @Test(arguments: Law.all) func rankStabilizedUpholds(_ law: Law) throws {
    var conformance = try conformance()
    conformance.entry = "rslora"
    conformance.cases = [["rank": .int(3), "alpha": .int(6)]]
    conformance.goldens = []
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  @Test(arguments: ["gaussian", "random", "orthogonal"], [Law.axes, .layout, .start, .seed, .order, .learning, .resume, .files])
  func otherStartsUphold(_ start: String, _ law: Law) throws {
    var conformance = try conformance()
    conformance.axes.initialization = start
    conformance.cases = [["rank": .int(4), "alpha": .int(4), "init": .string(start)]]
    // Both factors of `random` are far from zero: it is for tests.
    conformance.startBound = 2
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  @Test(arguments: Law.all) func qrUpholds(_ law: Law) throws {
    var conformance = try conformance()
    (conformance.entry, conformance.axes.initialization) = ("olora", "olora")
    conformance.axes.trainable = ["factor-a", "factor-b"]
    conformance.cases = [["rank": .int(1), "alpha": .int(1)], ["rank": .int(3), "alpha": .int(6)]]
    // The weight alone says where it starts.
    conformance.drawsStart = false
    conformance.goldens = []
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  /// r·in a site: B stays.
  @Test(arguments: Law.all) func leastDirectionsUphold(_ law: Law) throws {
    var conformance = try conformance()
    (conformance.entry, conformance.axes.initialization) = ("mica", "mica")
    conformance.axes.trainable = ["factor-a"]
    conformance.cases = [["rank": .int(2), "alpha": .int(2)], ["rank": .int(3), "scaling": .string("rslora")]]
    conformance.parameterCount = { sites, options in sites.reduce(0) { $0 + options.int("rank") * $1.inputs } }
    conformance.drawsStart = false
    conformance.goldens = []
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }

  /// r·(in + out) a site, and out more where B has a bias.
  private func conformance() throws -> MethodConformance {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "lora",
      axes: .init(projection: "low-rank", initialization: "kaiming", trainable: ["factor-a", "factor-b", "bias"]),
      cases: [
        ["rank": .int(1), "alpha": .int(2)], ["r": .int(4), "use_rslora": .bool(true)],
        ["rank": .int(3), "alpha": .int(6), "bias": .bool(true), "dropout": .double(0.2)],
      ]
    ) { sites, options in
      sites.reduce(0) { $0 + options.int("rank") * ($1.inputs + $1.outputs) + (options.bool("bias") ? $1.outputs : 0) }
    }
    conformance.goldens = (0..<3).map { fixture("lora.\($0)") }
    return conformance
  }
}

/// The path of a reference file.
private func fixture(_ name: String, _ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/ConformanceTests/Fixtures/\(name).safetensors"
}
