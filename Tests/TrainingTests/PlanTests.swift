import Catalog
import Engine
import Files
import Foundation
import Models
import PEFTKernel
import Registry
import Testing

@testable import Training

/// Plans against the runs they are of.
@Suite struct PlanTests {
  static func text(_ method: String, accumulation: Int = 2) -> String {
    """
    base_model: \(RunTests.model)
    method: \(method)
    data: { tokens: \(RunTests.tokens) }
    optimizer: { name: adamw, lr: 1e-3 }
    steps: 3
    batch_size: \(2 / accumulation)
    gradient_accumulation: \(accumulation)
    """
  }

  @Test(arguments: [
    "{ use: lora, rank: 4 }", "uni-lora", "{ use: queryable-lora, rank: 4, num_atoms: 4 }",
    "{ use: lora-ga, rank: 4, batches: 2 }", "full",
  ])
  func plansSayWhatRunsDo(_ method: String) async throws {
    let scratch = try RunTests.Scratch()
    let session = try RunTests().session(Self.text(method), scratch, "run")
    let before = try Folder.names(in: scratch.path)
    let plan = try RunPlan(session)
    #expect(try Folder.names(in: scratch.path) == before)

    let trainer = try session.trainer(for: session.startedAdapter())
    #expect(plan.trainable == trainer.trainableCount)
    let own = plan.sites.reduce(0) { $0 + $1.trainable }
    let shared = plan.shared.filter(\.isTrainable).reduce(0) { $0 + $1.count }
    #expect(own + shared + plan.memory.trainedBase / 4 == plan.trainable)
    #expect(plan.sites.map(\.site) == session.sites)
    let tokens = (0..<3).flatMap { session.batches.microBatches(at: $0) }.map(\.tokenCount)
    #expect(plan.tokens == tokens.reduce(0, +))
    #expect(plan.largestMicroBatch.tokens == tokens.max())

    let memory = plan.memory
    #expect(memory.peak == memory.classes.reduce(0) { $0 + $1.bytes })
    #expect(memory.trainable + memory.trainedBase == 4 * plan.trainable && memory.frozen == 4 * plan.frozen)
    #expect(memory.gradients == 4 * plan.trainable && memory.optimizer == 2 * memory.gradients)
    #expect(memory.activations > 0 && memory.beyondSteps >= 0 && !memory.isExtrapolated)
    #expect((memory.offset > 0) == (trainer.adapter.offset != nil))
    #expect((memory.evidence > 0) == method.contains("lora-ga"))

    let outcome = try await TrainingRun(session).run()
    #expect(outcome.trainable == plan.trainable && outcome.total == plan.total && outcome.steps == plan.steps)
    let checkpoint = try #require(try Checkpoint.newest(in: scratch.path + "/run"))
    let saved = try SafetensorsFile(checkpoint + "/state.safetensors").tensors
    #expect(plan.checkpointBytes == saved.reduce(0) { $0 + $1.range.count })
  }

  @Test func extentsAreThoseOfTheBatches() {
    let plan = BatchPlan(
      (0..<12).map { index in Example(ids: [Int32](repeating: 1, count: 10 + index * 3 % 7)) }, batchSize: 3, accumulation: 2,
      seed: 4)
    let micro = (0..<5).flatMap { plan.microBatches(at: $0) }.map(\.tokenCount)
    let extent = plan.extent(steps: 5)
    #expect(extent.tokens == micro.reduce(0, +))
    #expect(extent.largest.reduce(0) { $0 + $1.ids.count } == micro.max())
    #expect(Evaluation.batches(plan.examples, tokensPerBatch: 25).flatMap { $0 } == Array(plan.examples.indices))
    #expect(plan.extent(steps: 0).tokens == 0)
  }

  @Test func theStartsNotesReachTheUser() async throws {
    let scratch = try RunTests.Scratch()
    let session = try RunTests().session(Self.text("{ use: lora, rank: 4, alpha: 0, init: { use: gaussian } }"), scratch, "run")
    let (events, sink) = AsyncStream<TrainingEvent>.makeStream()
    _ = try await TrainingRun(session).run { sink.yield($0) }
    sink.finish()
    var notes: [String] = []
    for await event in events { if case .note(let text) = event { notes.append(text) } }
    let start = "alpha is 0: the adapter changes nothing and no factor receives a gradient"
    // The first step finds it, too.
    #expect(notes.first == start && notes.count == 2)
    #expect(try RunPlan(session).notes == [start])
  }
}
