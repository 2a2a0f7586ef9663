import AdapterFiles
import Blocks
import Catalog
import Engine
import Files
import Models
import PEFTKernel
import Registry
import Testing

@testable import Training

/// Runs on a base in few bits.
@Suite struct QuantizedBaseTests {
  let scratch: RunTests.Scratch

  init() throws { scratch = try RunTests.Scratch() }

  /// A copy of the reference runs' model in that many bits, which remembers where it comes from.
  func base(bits: Int = 2, _ alternation: Alternation? = nil, name: String = "base") throws -> String {
    let model = try ModelLoader.load(RunTests.model)
    let job = try ModelQuantizer(model, IntegerQuantizer(IntegerGrid(bits: bits, groupSize: 16)), alternation: alternation)
    let folder = scratch.path + "/" + name
    try ModelWriter.write(
      model, codes: job.run().codes,
      QuantizationConfig(
        method: "rtn", scheme: .grid(bits: bits, groupSize: 16),
        origin: .init(path: RunTests.model, digest: try model.directory.digest())), to: folder)
    return folder
  }

  func text(_ base: String, _ method: String) -> String {
    """
    base_model: \(base)
    method: \(method)
    data: { tokens: \(RunTests.tokens) }
    optimizer: { name: adamw, lr: 1e-2 }
    steps: 30
    batch_size: 2
    """
  }

  @Test(arguments: ["lora", "{ use: lora-ga, rank: 4, batches: 2 }", "uni-lora"])
  func adaptersLearnOnIt(_ method: String) async throws {
    let base = try base()
    let digest = try ModelDirectory(base).digest()
    let session = try RunTests().session(text(base, method), scratch, "run")
    let first = session.batches.microBatches(at: 0)
    let outcome = try await TrainingRun(session).run()
    func loss(_ adapter: Adapter?) -> Double {
      first.reduce(0) { sum, batch in
        let pass = Pass(now: Moment(), rows: batch.rows, sites: session.sites)
        let run = ModelRun(pass: pass, attachment: adapter?.attached())
        return sum + session.objective.loss(batch, scale: 1 / Double(batch.labelCount), run).item
      }
    }
    #expect(loss(outcome.adapter) < loss(nil) - 0.005)
    #expect(try ModelDirectory(base).digest() == digest)
    // The adapter knows the base it belongs to.
    let path = try #require(outcome.adapterPath)
    _ = try AdapterReader.read(path, for: session.model, registry: session.registry)
  }

  @Test func plansCountCodes() throws {
    let (coded, plain) = (try base(bits: 4), RunTests.model)
    let plans = try [coded, plain].map { try RunPlan(RunTests().session(text($0, "lora"), scratch, "plan")) }
    let model = try ModelLoader.load(coded)
    #expect(plans[0].memory.base == model.parameters.reduce(0) { $0 + $1.byteCount })
    let numbers = ModelQuantizer.sites(of: model).reduce(0) { $0 + $1.outputs * $1.inputs }
    // 6.5 bits for each of what had 32.
    #expect(plans[1].memory.base - plans[0].memory.base == numbers * 4 - numbers * 13 / 16)
    #expect(plans[0].total == plans[1].total && plans[0].trainable == plans[1].trainable)
  }

  @Test func weightsInCodesAreNotTrained() throws {
    let base = try base()
    #expect {
      _ = try RunTests().session(text(base, "full"), scratch, "full")
    } throws: { error in
      "\(error)".contains("run.yaml:2") == false && "\(error)".contains("full.yaml:2:9: the base's own weights cannot be trained")
        && "\(error)".contains("13 others are quantized")
    }
    #expect(throws: (any Error).self) {
      let session = try RunTests().session(
        text(base, "{ use: lora, init: { use: principal-weights } }"), scratch, "principal")
      _ = try session.startedAdapter()
    }
  }

  /// W − Q − BA is smaller than W − Q where the adapter starts near the error, and the origin is asked for W.
  @Test(arguments: ["frobenius", "gram"]) func startsNearTheError(_ metric: String) throws {
    let base = try base()
    let method = "{ use: lora, rank: 8, init: { use: quantization-error, metric: \(metric), samples: 8 } }"
    let session = try RunTests().session(text(base, method), scratch, "loftq")
    let adapter = try session.startedAdapter()
    let origin = try ModelLoader.load(RunTests.model)
    for site in adapter.sites {
      let coded = session.model.base(site.id).weight(as: .float64)
      let error = origin.base(site.id).weight(as: .float64) - coded
      let left = error - (try adapter.change(at: site).dense(on: coded))
      #expect(left.sumOfSquares < (metric == "gram" ? 1 : 0.75) * error.sumOfSquares)
    }
  }

  @Test func originsThatAreNotWhatTheyWere() throws {
    let base = try base()
    let config = try TextFile.read(base + "/config.json")
    func refusal(_ old: String, _ new: String) throws -> String {
      try Folder.remove(base + "/config.json")
      try WholeFile.write(config.replacing(old, with: new), to: base + "/config.json")
      let session = try RunTests().session(
        text(base, "{ use: lora, init: { use: quantization-error } }"), scratch, "origin")
      do { _ = try session.startedAdapter() } catch { return "\(error)" }
      return "none"
    }
    #expect(try refusal("", "") == "none")
    #expect(try refusal(RunTests.model, "/no/such").contains("/no/such: is not there, the model that"))
    let digest = try ModelDirectory(RunTests.model).digest()
    #expect(try refusal(digest, "00").contains("is not the model that"))
    #expect(try refusal("\"origin\"", "\"origins\"").contains("does not say which model it was quantized from"))
  }

  @Test func codesAndAdapterFoundTogetherLeaveLess() throws {
    let model = try ModelLoader.load(RunTests.model)
    let registry = try Catalog.registry()
    let sites = model.sites.filter { $0.use == "attention.query" }
    let method = try registry.assemble(try registry.entry("lora", overriding: ["rank": .int(8)]))
    func left(_ rounds: Int?) throws -> Double {
      let alternation = try rounds.map { try Alternation(method, over: sites, rounds: $0, seed: 0) }
      let result = try ModelQuantizer(
        model, IntegerQuantizer(IntegerGrid(bits: 2, groupSize: 16)), alternation: alternation
      ).run()
      return result.sites.filter { $0.site.use == "attention.query" }.reduce(0) { $0 + $1.error }
    }
    let (codes, once, often) = (try left(nil), try left(1), try left(5))
    #expect(once < codes && often < once)
    #expect(throws: Refusal.self) { try Alternation(method, over: sites, rounds: 0, seed: 0) }
    let other = try registry.assemble(try registry.entry("uni-lora", overriding: [:]))
    #expect(throws: Refusal.self) { try Alternation(other, over: sites, rounds: 1, seed: 0) }
  }

  @Test func calibrationSumsInputs() throws {
    let model = try ModelLoader.load(RunTests.model)
    let sites = ModelQuantizer.sites(of: model)
    let examples = try Calibration.examples(RunTests.tokens, for: model, samples: 5, length: 9)
    #expect(examples.count == 5 && examples.allSatisfy { $0.ids.count == 9 })
    var counts: [Int] = []
    let grams = try Calibration.grams(of: sites, on: model, examples: examples, batchSize: 2) { counts.append($0) }
    #expect(counts == [2, 4, 5] && grams.count == sites.count)
    // The first norm's output, summed by hand.
    let query = try #require(sites.first { $0.use == "attention.query" })
    var sum = Tensor.zeros([query.inputs, query.inputs], .float64)
    for example in examples {
      var run = ModelRun(pass: Pass(now: Moment(), rows: RowLayout(lengths: [9]), sites: []))
      nonisolated(unsafe) var input: Tensor?
      run.observeInput = { if $0 == query.id { input = $1 } }
      _ = model.hidden(example.ids, run)
      let x = try #require(input).converted(to: .float64)
      sum = sum + x.transposed.multiplied(by: x)
    }
    let gram = try #require(grams[query.id])
    #expect((gram - sum).largestMagnitude < 1e-5 * sum.largestMagnitude)
    let gptq = try ModelQuantizer(
      model, IntegerQuantizer(IntegerGrid(bits: 3, groupSize: 16), rounding: .feedback(GPTQ())), grams: grams
    ).run()
    let nearest = try ModelQuantizer(model, IntegerQuantizer(IntegerGrid(bits: 3, groupSize: 16)), grams: grams).run()
    for (a, b) in zip(gptq.sites, nearest.sites) { #expect(a.error < b.error && a.size == b.size) }
  }
}
