import Blocks
import Catalog
import Engine
import Files
import Foundation
import JSON
import Models
import PEFTKernel
import Registry
import Testing

@testable import Training

/// Runs as users make them: stopped and resumed, divided into micro-batches, fed with bad data.
@Suite struct RunTests {
  static let model = ParityTests.runs + "/llama-tiny/model"
  static let tokens = ParityTests.runs + "/llama-tiny/lora/batches.safetensors"

  /// A folder that goes away with its owner.
  final class Scratch {
    let path = NSTemporaryDirectory() + "peft-run-\(UUID().uuidString)"
    init() throws { try Folder.create(path) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  func session(_ text: String, _ scratch: Scratch, _ name: String) throws -> RunSession {
    let path = scratch.path + "/\(name).yaml"
    try WholeFile.write(text + "\noutput_dir: \(scratch.path)/\(name)\n", to: path)
    let registry = try Catalog.registry()
    return try RunSession(RunFile.load(path, registry: registry), registry: registry)
  }

  @Test(arguments: [
    "method: { use: lora, dropout: 0.2 }", "method: rslora", "method: { use: lora-ga, rank: 4, batches: 2 }",
    "method: uni-lora", "method: { use: queryable-lora, rank: 4, num_atoms: 4 }", "method: full",
    "method: { use: lora, dropout: 0.2 }\nactivation_checkpointing: true",
    "method: { use: lora, dropout: 0.2 }\nmodules_to_save: [lm_head, norm]\ntarget_modules: [q_proj, embed_tokens]",
    "method: dora\nmodules_to_save: [embed_tokens]\nactivation_checkpointing: true",
  ])
  func resumingIsBitExact(_ method: String) async throws {
    let scratch = try Scratch()
    let text = """
      base_model: \(Self.model)
      \(method)
      data: { tokens: \(Self.tokens) }
      optimizer: { name: adamw, lr: 1e-3, schedule: cosine, warmup: 2 }
      steps: 6
      batch_size: 1
      gradient_accumulation: 2
      seed: 3
      """
    let whole = try await TrainingRun(session(text, scratch, "whole")).run()
    let parts = try session(text, scratch, "parts")
    let stopped = try await Task {
      try await TrainingRun(parts).run { event in
        if case .step(let report, _) = event, report.step == 3 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }.value
    #expect(stopped.end == .stopped && stopped.steps == 3)
    let resumed = try await TrainingRun(parts, resumes: true).run()
    #expect(resumed.end == .finished && resumed.steps == 6)
    let file = whole.adapterPath == nil ? "/model/model.safetensors" : "/adapter/adapter_model.safetensors"
    #expect(try SHA256.hex(ofFile: scratch.path + "/whole" + file) == SHA256.hex(ofFile: scratch.path + "/parts" + file))
    let losses = try ["whole", "parts"].map { name in
      try TextFile.read("\(scratch.path)/\(name)/metrics.jsonl").split(separator: "\n").map {
        try JSON(parsing: String($0))["loss"]?.double
      }
    }
    #expect(losses[0] == losses[1] && losses[0].count == 6)
  }

  /// The order of the rows, and which of them are there, follow from the files and the seeds alone.
  @Test(arguments: [
    "group_by_length: true", "group_by_length: true, packing: true", "split: { valid: 0.2, test: 1e-9, seed: 5 }",
    "loss_on: last_turn, shuffle: false",
  ])
  func resumingTextsIsBitExact(_ data: String) async throws {
    let scratch = try Scratch()
    let rows = (0..<30).map { index in
      let words = String(repeating: "and he said ", count: 1 + index * 7 % 11)
      return #"{"messages": [{"role": "user", "content": "\#(index)"}, {"role": "assistant", "content": "\#(words)"}, "#
        + #"{"role": "user", "content": "more"}, {"role": "assistant", "content": "So."}]}"#
    }
    try WholeFile.write(rows.joined(separator: "\n"), to: scratch.path + "/rows.jsonl")
    let text = """
      base_model: \(ChatDataTests.scripture)
      method: { use: lora, rank: 2 }
      data:
        { train: rows.jsonl, max_seq_len: 96, chat_template: { user: { after: "\\n" }, assistant: { after: "\\n" } }, \(data) }
      optimizer: { name: adamw, lr: 1e-3 }
      steps: 6
      batch_size: 2
      gradient_accumulation: 2
      seed: 3
      """
    let whole = try session(text, scratch, "whole")
    let finished = try await TrainingRun(whole).run()
    let parts = try session(text, scratch, "parts")
    let stopped = try await Task {
      try await TrainingRun(parts).run { event in
        if case .step(let report, _) = event, report.step == 3 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }.value
    #expect(stopped.end == .stopped && stopped.steps == 3)
    let resumed = try await TrainingRun(parts, resumes: true).run()
    #expect(resumed.end == .finished && resumed.steps == 6)
    #expect(whole.training.count + whole.validation.count + whole.test.count == 30)
    #expect(finished.test?.loss == resumed.test?.loss && (finished.test == nil) == whole.test.isEmpty)
    let file = "/adapter/adapter_model.safetensors"
    #expect(try SHA256.hex(ofFile: scratch.path + "/whole" + file) == SHA256.hex(ofFile: scratch.path + "/parts" + file))
  }

  /// Through start, steps and files.
  @Test(arguments: [
    "{ use: lora, dropout: 0.2 }", "{ use: lora-ga, rank: 4, batches: 2 }", "{ use: queryable-lora, rank: 4, num_atoms: 4 }",
    "full",
  ])
  func checkpointingChangesNoNumber(_ method: String) async throws {
    let scratch = try Scratch()
    func digest(_ name: String, _ isOn: Bool) async throws -> String {
      let text = PlanTests.text(method) + "\nactivation_checkpointing: \(isOn)"
      let outcome = try await TrainingRun(session(text, scratch, name)).run()
      let file = outcome.adapterPath == nil ? "model/model.safetensors" : "adapter/adapter_model.safetensors"
      return try SHA256.hex(ofFile: "\(scratch.path)/\(name)/\(file)")
    }
    let (off, on) = (try await digest("off", false), try await digest("on", true))
    #expect(on == off)
  }

  static let run = """
    base_model: \(model)
    method: lora
    data: { tokens: \(tokens) }
    batch_size: 2
    """

  @Test func anEarlierRunsCheckpointsAreNotTakenForThisOnes() async throws {
    let scratch = try Scratch()
    _ = try await TrainingRun(session(Self.run + "\nsteps: 4", scratch, "a")).run()
    let text = Self.run + "\nsteps: 3\nsave_every: 1"
    let again = try session(text, scratch, "a")
    let refusal = await #expect(throws: OccupiedFolder.self) { try await TrainingRun(again).run() }
    #expect(refusal?.isResumable == false)
    let stopped = try await Task {
      try await TrainingRun(again, overwrites: true).run { event in
        if case .step(let report, _) = event, report.step == 1 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }.value
    #expect(stopped.end == .stopped && stopped.steps == 1)
    #expect(try Checkpoint.newest(in: scratch.path + "/a")?.hasSuffix("/step-00000001") == true)
    #expect(try await TrainingRun(again, resumes: true).run().steps == 3)
  }

  @Test func stoppingBehindTheLastStepIsStopping() async throws {
    let scratch = try Scratch()
    let text = Self.run.replacing("data: { tokens: ", with: "data: { valid: \(Self.tokens), tokens: ") + "\nsteps: 1"
    let session = try session(text, scratch, "a")
    let stopped = try await Task {
      try await TrainingRun(session).run { event in
        if case .step = event { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }.value
    #expect(stopped.end == .stopped && stopped.steps == 1 && stopped.adapterPath != nil)
    let log = try TextFile.read(scratch.path + "/a/metrics.jsonl")
    let resumed = try await TrainingRun(session, resumes: true).run()
    #expect(resumed.end == .finished && resumed.adapterPath != nil)
    #expect(resumed.after?.loss == stopped.after?.loss && resumed.after != nil)
    #expect(try TextFile.read(scratch.path + "/a/metrics.jsonl") == log)
  }

  @Test func otherDataOrAnotherBaseIsNotGoneOnWith() async throws {
    let scratch = try Scratch()
    _ = try await TrainingRun(session(Self.run + "\nsteps: 1", scratch, "a")).run()
    func refusal(_ text: String) async throws -> String? {
      let session = try session(text + "\nsteps: 2", scratch, "a")
      let error = await #expect(throws: Refusal.self) { try await TrainingRun(session, resumes: true).run() }
      return error?.reason
    }
    let checkpoint = "the checkpoint \(scratch.path)/a/checkpoints/step-00000001 was made"
    let other = ParityTests.runs + "/gpt2-tiny/lora/batches.safetensors"
    #expect(try await refusal(Self.run.replacing(Self.tokens, with: other)) == "the training data changed since \(checkpoint)")
    let base = ParityTests.runs + "/llama-tiny/full/adapter_init"
    let text = Self.run.replacing(Self.model, with: base)
    if try ModelDirectory(base).digest() != ModelDirectory(Self.model).digest() {
      #expect(try await refusal(text) == "the base model changed since \(checkpoint)")
    }
    // More steps of the same are welcome.
    #expect(try await TrainingRun(session(Self.run + "\nsteps: 2", scratch, "a"), resumes: true).run().steps == 2)
  }

  @Test func aLossThatIsNoNumberNamesTensorAndStep() throws {
    let scratch = try Scratch()
    let session = try session(Self.run + "\nsteps: 3", scratch, "a")
    let trainer = try session.trainer(for: session.startedAdapter())
    _ = try trainer.takeStep()
    let parameter = try #require(trainer.parameters.last)
    parameter.value.scaleInPlace(by: .infinity)
    let error = #expect(throws: TrainingError.self) { try trainer.takeStep() }
    #expect(error?.step == 2)
    let reason = "\(parameter.name) is no longer finite; lower the learning rate (\(trainer.peakRate))"
    #expect(error?.message.hasPrefix("the loss is ") == true && error?.message.hasSuffix("; " + reason) == true)
    let evaluation = #expect(throws: TrainingError.self) { try trainer.evaluate(session.training) }
    #expect(evaluation?.step == 1 && evaluation?.message.hasPrefix("the evaluation loss is ") == true)
  }

  @Test func epochsThatCannotBeCountedAreRefused() throws {
    let scratch = try Scratch()
    #expect(throws: ConfigurationErrors.self) { try session(Self.run + "\nepochs: \(Int.max)", scratch, "a") }
  }

  @Test func tokenRunsAreEvaluatedToo() async throws {
    let scratch = try Scratch()
    let text = Self.run.replacing("data: { tokens: ", with: "data: { valid: \(Self.tokens), tokens: ") + "\nsteps: 1"
    let outcome = try await TrainingRun(session(text, scratch, "a")).run()
    #expect(outcome.before != nil && outcome.after != nil)
  }

  /// A damaged checkpoint is named, and the older one that could be used.
  @Test func damagedCheckpointsAreNamed() async throws {
    let scratch = try Scratch()
    let run = try session(
      """
      base_model: \(Self.model)
      method: lora
      data: { tokens: \(Self.tokens) }
      steps: 4
      save_every: 2
      batch_size: 2
      """, scratch, "run")
    _ = try await TrainingRun(run).run()
    let folder = scratch.path + "/run/checkpoints"
    func refusal() async -> String {
      do { _ = try await TrainingRun(run, resumes: true).run() } catch {
        return "\(error)".replacing(folder + "/", with: "")
      }
      return "nothing was thrown"
    }
    let state = folder + "/step-00000004/state.safetensors"
    let bytes = try MappedFile(state).withBytes { Array($0) }
    try WholeFile.write(Array(bytes.dropLast(8)), to: state)
    let damaged = await refusal()
    #expect(
      damaged.hasPrefix("step-00000004/state.safetensors: the checkpoint step-00000004 is damaged: tensor '"), "\(damaged)")
    #expect(damaged.hasSuffix("; step-00000002 is kept: remove step-00000004 to resume from it"), "\(damaged)")
    try Folder.remove(folder + "/step-00000004/state.json")
    try Folder.remove(folder + "/step-00000002")
    #expect(
      await refusal()
        == "step-00000004/state.json: the checkpoint step-00000004 is damaged: cannot be read "
        + "(No such file or directory); no older one is kept: remove step-00000004 and start the run anew")
  }

  @Test func accumulationDoesNotChangeAStep() throws {
    var random = Philox(key: 1)
    let examples = (0..<8).map { index in
      Example(ids: (0..<(5 + index)).map { _ in Int32(random.integer(below: 512)) }, learnedFrom: index % 3)
    }
    let registry = try Catalog.registry()
    let model = try ModelLoader.load(Self.model)
    let entry = try registry.entry(named: "lora")
    let sites = model.sites.filter { $0.use == "attention.query" }
    let method = try registry.assemble(entry)
    func trained(_ size: Int, _ accumulation: Int, packedLength: Int? = nil) throws -> ([Double], [Double]) {
      let adapter = try EvidenceStage(method, sites: sites, for: NextTokens(model), examples: examples, seed: 1).start()
      let plan = BatchPlan(
        examples, batchSize: size, accumulation: accumulation, packedLength: packedLength, shuffles: false)
      let trainer = try Trainer(
        NextTokens(model), adapter: adapter, batches: plan, optimizer: AdamW(), peakRate: 1e-2, schedule: Schedule(total: 2),
        clipNorm: nil, seed: 1)
      let losses = try [trainer.takeStep().loss, trainer.takeStep().loss]
      return (losses, trainer.parameters.flatMap { $0.value.values })
    }
    let whole = try trained(8, 1)
    for other in [try trained(1, 8), try trained(3, 3), try trained(1, 1, packedLength: 200)] {
      for (a, b) in zip(whole.0, other.0) { #expect(abs(a - b) < 1e-5 * a) }
      for (a, b) in zip(whole.1, other.1) { #expect(abs(a - b) < 1e-4) }
    }
  }

  @Test func everyExampleIsSeenOnceAnEpoch() {
    let examples = (0..<23).map { Example(ids: [Int32($0), 1, 2]) }
    for packed in [nil, 10] {
      let plan = BatchPlan(examples, batchSize: 2, accumulation: 2, packedLength: packed, seed: 5)
      for epoch in 0..<2 {
        let seen = (0..<plan.stepsPerEpoch).flatMap { step in
          plan.microBatches(at: epoch * plan.stepsPerEpoch + step).flatMap { batch in
            batch.rows.sequences.map { batch.ids[$0.lowerBound] }
          }
        }
        #expect(seen.sorted() == (0..<23).map { Int32($0) })
      }
    }
  }

  @Test func learnedTokensAreTheCompletion() {
    let example = Example(ids: [5, 6, 7, 8], learnedFrom: 2)
    #expect(example.labels == [-100, 7, 8, -100])
    #expect(example.labelCount == 2)
    #expect(Example(ids: [5, 6, 7]).labels == [6, 7, -100])
  }

  @Test func schedulesRiseAndFall() {
    let cosine = Schedule(.cosine, warmup: 4, total: 12, floor: 0.1)
    #expect((0..<4).map { cosine.factor(at: $0) } == [0.25, 0.5, 0.75, 1])
    #expect(abs(cosine.factor(at: 8) - 0.55) < 1e-12 && abs(cosine.factor(at: 12) - 0.1) < 1e-12)
    #expect(Schedule(.linear, total: 10).factor(at: 5) == 0.5)
    #expect(Schedule(.constant, total: 10).factor(at: 9) == 1)
  }
}
