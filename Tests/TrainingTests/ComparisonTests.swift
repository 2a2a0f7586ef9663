import Catalog
import Files
import Foundation
import JSON
import Models
import PEFTKernel
import Registry
import Synchronization
import Testing

@testable import Training

/// Comparisons of few steps on the tiny Llama.
@Suite struct ComparisonTests {
  static func comparison(
    _ scratch: RunTests.Scratch, _ methods: [String] = ["lora", "rslora"], steps: Int = 4,
    _ change: (inout Comparison.Settings) -> Void = { _ in }
  ) throws -> Comparison {
    let path = scratch.path + "/run.yaml"
    try WholeFile.write(
      """
      base_model: \(RunTests.model)
      method: { use: lora, dropout: 0.2 }
      data: { tokens: \(RunTests.tokens), valid: \(RunTests.tokens) }
      optimizer: { name: adamw, lr: 1e-3, betas: [0.9, 0.95], schedule: cosine }
      steps: \(steps)
      batch_size: 2
      seed: 5
      output_dir: \(scratch.path)/unused
      """, to: path)
    var settings = Comparison.Settings(
      rates: [1e-3, 1e-2], seeds: 2, evalEvery: 2, output: scratch.path + "/out", program: "test 1", machine: "here")
    change(&settings)
    return try Comparison(path, variants: methods.map { try RunVariant($0) }, settings: settings, registry: Catalog.registry())
  }

  /// Results without what depends on the clock and on others' memory.
  private func timeless(_ results: [TrialResult]) -> [TrialResult] {
    results.map { result in
      var result = result
      (result.seconds, result.stepSeconds, result.startSeconds, result.peakBytes) = (0, 0, 0, 0)
      return result
    }
  }

  /// Counts from wherever it is called.
  private final class Counter: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func next() -> Int {
      value.withLock { value in
        value += 1
        return value
      }
    }
  }

  private func finished(_ outcome: ComparisonOutcome) throws -> ComparisonSummary {
    guard case .finished(let summary) = outcome else { throw Refusal("stopped") }
    return summary
  }

  // MARK: The rule

  @Test func theLowestMeanIsChosen() throws {
    let scratch = try RunTests.Scratch()
    let comparison = try Self.comparison(scratch) {
      $0.rates = [3, 1, 2]
      $0.seeds = 3
      $0.selectionSeeds = 2
    }
    #expect(comparison.seeds == [5, 6, 7])
    #expect(comparison.selection.count == 12 && comparison.trialCount == 12 + 2)
    #expect(Set(comparison.selection.map(\.seed)) == [5, 6])
    var results: [Trial: TrialResult] = [:]
    func put(_ rate: Double, _ seed: UInt64, _ loss: Double?) {
      let trial = Trial(label: "lora", rate: rate, seed: seed)
      results[trial] = TrialResult(
        trial: trial, divergence: loss == nil ? .init(step: 1, reason: "nan") : nil, curve: [.init(step: 4, loss: loss ?? 0.1)])
    }
    put(1, 5, 3)
    put(1, 6, 3)
    put(2, 5, 2)
    put(2, 6, 3)
    put(3, 5, 1)
    put(3, 6, nil)
    // Whatever the last seed says, it has no vote; what diverged once is worse than any number.
    put(1, 7, 0)
    #expect(comparison.chosenRate(of: "lora", results) == 2)
    #expect(comparison.selectionLoss(of: "lora", 3, results) == .infinity)
    #expect(comparison.selectionLoss(of: "rslora", 1, results) == nil)
    // Of equals the lower, and none where all diverged.
    put(1, 5, 2)
    #expect(comparison.chosenRate(of: "lora", results) == 1)
    for rate in [1.0, 2, 3] { put(rate, 5, nil) }
    #expect(comparison.chosenRate(of: "lora", results) == nil)
    #expect(comparison.finals(["lora": 2]).map(\.seed) == [5, 6, 7])
  }

  @Test func theGridLiesAroundTheRunFilesRate() throws {
    let scratch = try RunTests.Scratch()
    #expect(try Self.comparison(scratch) { $0.rates = [] }.settings.rates == [1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2])
  }

  @Test func partsDoNotOverlap() throws {
    let scratch = try RunTests.Scratch()
    let halves = try Self.comparison(scratch).data
    let all = try TokenFile.read(RunTests.tokens, vocabulary: 1 << 20).examples
    #expect(halves.validation == stride(from: 0, to: all.count, by: 2).map { all[$0] })
    #expect(halves.heldOut == stride(from: 1, to: all.count, by: 2).map { all[$0] } && halves.ownText.isEmpty)
    let given = try Self.comparison(scratch) { ($0.heldOut, $0.ownText) = (RunTests.tokens, RunTests.tokens) }.data
    #expect(given.validation == all && given.heldOut == all && given.ownText == all)
  }

  // MARK: Running

  @Test func seedsArePairedAndRowsFollowFromTrials() async throws {
    let scratch = try RunTests.Scratch()
    let comparison = try Self.comparison(scratch, ["rslora", "lora", "full"]) { $0.ownText = RunTests.tokens }
    let summary = try finished(try await ComparisonRun(comparison).run())
    #expect(summary.baseline == "lora" && summary.rows.map(\.label) == ["rslora", "lora", "full"])
    #expect(summary.trials.count == comparison.trialCount)
    let base = try #require(summary.base.ownText)
    let lora = summary.rows[1]
    #expect(lora.difference == nil && lora.trials.map(\.trial.seed) == [5, 6])
    #expect(lora.curve.map(\.step) == [0, 2, 4])
    // On the curve's last point or before, where the curve dips below it.
    #expect(try #require(lora.stepsToBaseline) <= 4)
    for row in summary.rows {
      let losses = row.trials.compactMap(\.heldOut)
      #expect(losses.count == 2 && row.heldOut == Interval(losses))
      #expect(row.forgetting == Interval(row.trials.compactMap { $0.ownText.map { $0 - base } }))
      #expect(
        row.rate
          == comparison.settings.rates.first { rate in row.grid.first { $0.rate == rate }?.loss == row.grid.map(\.loss).min() })
      guard row.label != "lora" else { continue }
      #expect(row.difference == Interval(zip(losses, lora.trials.compactMap(\.heldOut)).map { $0 - $1 }))
    }
    #expect(summary.rows[2].adapterBytes == summary.rows[2].trainable * 4)
    #expect(lora.trainable < summary.rows[2].trainable && lora.peakBytes > 0 && lora.stepSeconds > 0)
    // The adapter's own file was removed again.
    #expect(try Folder.names(in: scratch.path + "/out/trials").allSatisfy { $0.hasSuffix(".json") })
    let json = try JSON(parsing: summary.json.text())
    #expect(json["methods"]?.array?.count == 3 && json["trials"]?.array?.compactMap { TrialResult($0) } == summary.trials)
  }

  /// Digits of other classes than the model's: a head beside an adapter, all of the model, and a head by itself.
  @Test func classesAreCompared() async throws {
    let scratch = try RunTests.Scratch()
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    let model = scratch.path + "/model"
    try Folder.create(model)
    for name in ["config.json", "model.safetensors"] {
      let file = try MappedFile("\(ObjectiveTests.models)/vit/\(name)")
      try WholeFile.write(file.withBytes { Array($0) }, to: model + "/" + name)
    }
    try WholeFile.write("{\"size\": 16}", to: model + "/preprocessor_config.json")
    let path = scratch.path + "/run.yaml"
    try WholeFile.write(
      """
      task: image_classification
      base_model: \(model)
      method: lora
      data:
        train: \(root)/examples/data/digits/high.safetensors
        split: { valid: 0.02, test: 0.02, seed: 1 }
        shots: 2
      optimizer: { name: adamw, lr: 1e-2 }
      steps: 3
      batch_size: 5
      seed: 5
      output_dir: \(scratch.path)/unused
      """, to: path)
    let settings = Comparison.Settings(rates: [1e-2], seeds: 2, evalEvery: 3, output: scratch.path + "/out", program: "test 1")
    let methods = ["lora", "full", root + "/examples/vision/head.yaml"]
    let comparison = try Comparison(
      path, variants: methods.map { try RunVariant($0) }, settings: settings, registry: Catalog.registry())
    #expect(comparison.session.training.count == 10 && comparison.data.heldOut.count == 18)
    let summary = try finished(try await ComparisonRun(comparison).run())
    #expect(summary.rows.map(\.label) == ["lora", "full", "head"])
    for row in summary.rows {
      #expect(row.figures.map(\.key) == ["accuracy", "macro_f1", "ece"])
      let accuracies = row.trials.compactMap { $0.figures.first?.value }
      #expect(row.figures.first?.interval == Interval(accuracies))
      // Of 18 examples.
      #expect(accuracies.count == 2 && accuracies.allSatisfy { (0...1).contains($0) && ($0 * 18).rounded() / 18 == $0 })
    }
    // 48 inputs and a bias for each of five classes.
    #expect(summary.rows[2].trainable == 5 * 49 && summary.rows[0].trainable > 5 * 49)
    let json = try JSON(parsing: summary.json.text())
    #expect(json["trials"]?.array?.compactMap { TrialResult($0) } == summary.trials)
    #expect(json["methods"]?.array?.first?["figures"]?["accuracy"]?["count"] == 2)
  }

  @Test(arguments: ["lora", "lora-ga:rank=2:batches=2", "full"])
  func whatWasStoppedGoesOnBitForBit(_ method: String) async throws {
    let scratch = try RunTests.Scratch()
    let whole = try finished(
      try await ComparisonRun(Self.comparison(scratch, [method]) { $0.output = scratch.path + "/whole" }).run())
    let comparison = try Self.comparison(scratch, [method])
    let steps = Counter()
    var outcome = ComparisonOutcome.stopped(done: 0, of: 0)
    // Stopped after every third step: in the middle of trials, and at their ends.
    for _ in 0..<20 {
      outcome = try await Task {
        try await ComparisonRun(comparison).run { event in
          guard case .step = event else { return }
          if steps.next() % 3 == 0 { withUnsafeCurrentTask { $0?.cancel() } }
        }
      }.value
      if case .finished = outcome { break }
    }
    let parts = try finished(outcome)
    #expect(timeless(parts.trials) == timeless(whole.trials))
    // No step was taken twice.
    #expect(steps.count == comparison.trialCount * 4)
  }

  @Test func finishedTrialsAreKeptAndLargerComparisonsUseThem() async throws {
    let scratch = try RunTests.Scratch()
    let small = try Self.comparison(scratch, ["lora"]) { $0.seeds = 1 }
    _ = try await ComparisonRun(small).run()
    let large = try Self.comparison(scratch)
    let begun = Mutex<[Trial]>([])
    let found = Mutex(0)
    _ = try await ComparisonRun(large).run { event in
      if case .begun(let trial, _, _) = event { begun.withLock { $0.append(trial) } }
      if case .prepared(_, let results) = event { found.withLock { $0 = results.count } }
    }
    #expect(found.withLock { $0 } == 2)
    #expect(begun.withLock { $0.count } == large.trialCount - 2)
    #expect(!begun.withLock { $0.contains { $0.label == "lora" && $0.seed == 5 } })
  }

  @Test func resultsOfSomethingElseAreNotTaken() async throws {
    let scratch = try RunTests.Scratch()
    _ = try await ComparisonRun(Self.comparison(scratch, ["lora"])).run()
    for other in [
      try Self.comparison(scratch, ["lora"], steps: 3), try Self.comparison(scratch, ["lora"]) { $0.program = "test 2" },
      try Self.comparison(scratch, ["lora"]) { $0.heldOut = RunTests.tokens },
    ] {
      let error = await #expect(throws: FileError.self) { try await ComparisonRun(other).run() }
      #expect(error?.kind == .cannotCreate && error?.description.contains("begin anew with --overwrite") == true)
    }
    let anew = try Self.comparison(scratch, ["lora"], steps: 3)
    _ = try finished(try await ComparisonRun(anew, overwrites: true).run())
  }

  @Test func divergedTrialsCountAsTheWorst() async throws {
    let scratch = try RunTests.Scratch()
    let comparison = try Self.comparison(scratch, ["lora", "full"]) { $0.rates = [1e-3, 1e30] }
    let summary = try finished(try await ComparisonRun(comparison).run())
    for row in summary.rows {
      #expect(row.rate == 1e-3 && row.isAtEdge && row.diverged == 0 && row.grid[1].loss == .infinity)
    }
    let bad = try #require(summary.trials.first { $0.trial.rate == 1e30 })
    #expect(bad.divergence != nil && bad.heldOut == nil && !bad.curve.isEmpty)
    // With no other rate there is no result, and no mean over those that came through.
    let hopeless = try finished(
      try await ComparisonRun(
        Self.comparison(scratch, ["lora"]) { ($0.rates, $0.output) = ([1e29, 1e30], scratch.path + "/hopeless") }
      ).run())
    #expect(hopeless.rows[0].rate == nil && hopeless.rows[0].heldOut == nil && hopeless.target == nil)
    #expect(hopeless.rows[0].diverged == 2)
  }

  // MARK: Contestants

  @Test func variantsReplaceMethodAndOptimizerAlone() throws {
    let scratch = try RunTests.Scratch()
    let file = scratch.path + "/mine.yaml"
    try WholeFile.write(
      "method: { use: rslora, rank: 3 }\noptimizer: { weight_decay: 0.1 }\ntarget_modules: [q_proj]\n", to: file)
    let comparison = try Self.comparison(scratch, ["lora", "lora:rank=2", "rslora@adamw", "full", file])
    let files = Dictionary(uniqueKeysWithValues: comparison.contestants.map { ($0.label, $0.file) })
    #expect(comparison.contestants.map(\.label) == ["lora", "lora:rank=2", "rslora@adamw", "full", "mine"])
    // The run file's own method keeps its options there.
    for label in ["lora", "lora:rank=2"] {
      #expect(files[label]?.method?.projection.options["dropout"] == .double(0.2))
    }
    #expect(files["lora:rank=2"]?.method?.projection.options["rank"] == .int(2))
    #expect(files["rslora@adamw"]?.method?.projection.options["dropout"] == .double(0))
    #expect(files["mine"]?.method?.projection.options["rank"] == .int(3))
    #expect(files["mine"]?.targetModules == .names(["q_proj"]) && files["full"]?.targetModules == nil)
    for (label, file) in files {
      #expect(file.optimizer.schedule == .cosine && file.optimizer.options["betas"] == .list([.double(0.9), .double(0.95)]))
      #expect(file.optimizer.options["weight_decay"]?.number == (label == "mine" ? 0.1 : 0))
      #expect(file.steps == 4 && file.seed == 5)
    }
  }

  @Test(arguments: ["", "@adamw", "lora@", "lora:rank", "lora:=3", "lora:rank="])
  func variantsThatMakeNoSenseAreRefused(_ text: String) {
    #expect(throws: Refusal.self) { try RunVariant(text) }
  }

  @Test func fileNamesDiffer() {
    let labels = ["a", "a/b", "a-b", "a b", ".a", "a:b=c@d"]
    let names = labels.map { Trial(label: $0, rate: 1e-3, seed: 1).fileName }
    #expect(Set(names).count == labels.count && names.allSatisfy { !$0.contains("/") && !$0.hasPrefix(".") })
  }
}
