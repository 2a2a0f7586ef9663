import AdapterFiles
import Blocks
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Testing

@testable import Training

/// Encoders in few bits, as bases of tasks.
@Suite struct QuantizedEncoderTests {
  private let runs = TaskRunTests()
  private let scratch: RunTests.Scratch

  init() throws { scratch = try RunTests.Scratch() }

  /// A copy of the model in two bits, which remembers where it comes from.
  private func coded(_ path: String) throws -> String {
    let model = try ModelLoader.open(path)
    let job = try ModelQuantizer(model, IntegerQuantizer(IntegerGrid(bits: 2, groupSize: 16)))
    let folder = path + "-coded"
    try ModelWriter.write(
      model, codes: job.run().codes,
      QuantizationConfig(
        method: "rtn", scheme: .grid(bits: 2, groupSize: 16), origin: .init(path: path, digest: try model.directory.digest())),
      to: folder)
    return folder
  }

  /// Maps of layers alone: heads, poolers, projections and patches keep their numbers.
  @Test(arguments: [("bert", 12), ("vit", 12), ("clip", 24)]) func layersAreCoded(_ family: String, _ count: Int) throws {
    let path = try runs.model(family, scratch)
    let (plain, model) = (try ModelLoader.open(path), try ModelLoader.open(try coded(path)))
    let parameters = model.parameters.filter(\.isQuantized)
    #expect(parameters.count == count && ModelQuantizer.sites(of: plain).count == count)
    #expect(model.classes == plain.classes && model.freshParameters.isEmpty)
    for parameter in model.parameters where !parameter.isQuantized {
      #expect(model.parameter(parameter.name).floats == plain.parameter(parameter.name).floats)
    }
    for name in parameters.map(\.name) {
      let (a, b) = (model.parameter(name).values, plain.parameter(name).values)
      #expect(a != b)
      // Two bits leave about a third.
      let (error, size) = zip(a, b).reduce((0.0, 0.0)) { ($0.0 + ($1.0 - $1.1) * ($1.0 - $1.1), $0.1 + $1.1 * $1.1) }
      #expect(error < 0.25 * size)
    }
  }

  @Test(arguments: ["bert", "vit"]) func dataMakesTheLayersErrorSmaller(_ family: String) throws {
    let path = try runs.model(family, scratch)
    let data = try family == "vit" ? runs.images(scratch, "images", 8) : runs.texts(scratch, "texts", 8)
    let model = try ModelLoader.open(path)
    let examples = try Calibration.examples(data, for: model, samples: 8, length: 6)
    let grams = try Calibration.grams(of: ModelQuantizer.sites(of: model), on: model, examples: examples, batchSize: 3)
    #expect(examples.count == 8 && grams.count == 12)
    let grid = try IntegerGrid(bits: 3, groupSize: 16)
    let gptq = try ModelQuantizer(model, IntegerQuantizer(grid, rounding: .feedback(GPTQ())), grams: grams).run()
    let nearest = try ModelQuantizer(model, IntegerQuantizer(grid), grams: grams).run()
    for (a, b) in zip(gptq.sites, nearest.sites) { #expect(a.error < b.error && a.size == b.size) }
  }

  @Test func twoInputsAtOnceAreRefused() throws {
    let model = try ModelLoader.open(try runs.model("clip", scratch))
    let data = try runs.texts(scratch, "texts", 8)
    let error = #expect(throws: Refusal.self) { try Calibration.examples(data, for: model, samples: 8, length: nil) }
    #expect(error?.reason == "a clip model reads images and texts, and examples have one of the two")
  }

  /// Adapters learn on the codes; starts that ask for the model before, or for what its sites read, see it under the same objective.
  @Test(arguments: [
    ("sequence_classification", "bert", "{ use: lora, rank: 4 }"),
    ("sequence_classification", "bert", "{ use: lora, rank: 4, init: { use: quantization-error } }"),
    ("image_classification", "vit", "{ use: qwha, rank: 2 }"),
    ("image_text_classification", "clip", "{ use: lora, rank: 4, init: { use: quantization-error, metric: gram, samples: 8 } }"),
  ])
  func adaptersLearnOnIt(_ task: String, _ family: String, _ method: String) async throws {
    let plain = try runs.model(family, scratch)
    let base = try coded(plain)
    let data = try family == "bert" ? runs.texts(scratch, "train", 24) : runs.images(scratch, "train", 24)
    let text = runs.text(task, base, "train: \(data)").replacing("{ use: lora, rank: 4 }", with: method)
    let session = try runs.session(text, scratch, "run")
    let started = try session.startedAdapter()
    if method != "{ use: lora, rank: 4 }" {
      let origin = try ModelLoader.open(plain)
      let grams = try Calibration.grams(of: started.sites, on: origin, examples: session.training)
      var compared = 0
      for site in started.sites {
        let coded = session.model.base(site.id).weight(as: .float64)
        let error = origin.base(site.id).weight(as: .float64) - coded
        let left = error - (try started.change(at: site).dense(on: coded))
        let looksAtInputs = method.contains("gram") || method.contains("qwha")
        guard let metric = looksAtInputs ? grams[site.id].map({ Metric.gram($0) }) : .frobenius else { continue }
        #expect(metric.length(of: left) < 0.95 * metric.length(of: error), "\(site.id)")
        compared += 1
      }
      #expect(compared >= started.sites.count / 2)
    }
    let outcome = try await TrainingRun(session).run()
    let losses = try TextFile.read(session.file.outputDir + "/metrics.jsonl").split(separator: "\n").compactMap {
      try JSON(parsing: $0.utf8)["loss"]?.double
    }
    #expect(try #require(losses.last) < 0.9 * losses[0])
    let path = try #require(outcome.adapterPath)
    let model = try AdapterReader.base(base, for: path)
    _ = try AdapterReader.read(path, for: model, registry: session.registry)
  }
}
